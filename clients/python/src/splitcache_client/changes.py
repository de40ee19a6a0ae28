"""What has changed, as callers follow it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

# Changes that wait for a slow follower. Beyond it the follower gets a Reset instead.
WAITING_MAX = 10_000


@dataclass(frozen=True, slots=True)
class EventChanged:
    """The event was redacted, rejected or changed otherwise."""

    event_id: str


@dataclass(frozen=True, slots=True)
class RoomPurged:
    room_id: str


@dataclass(frozen=True, slots=True)
class HomeserverPurged:
    """Anything may have changed."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Changes may have been missed: drop all that was kept. An item like any other, never an
    error: the following goes on."""


Change = EventChanged | RoomPurged | HomeserverPurged | Reset


class Follower:
    """A bounded queue of changes, of one caller."""

    def __init__(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """`on_ready` is called in any thread when there may be something to take."""
        self._on_ready = on_ready
        self._ready = threading.Condition()
        self._waiting: deque[Change] = deque()
        self._is_closed = False

    def add(self, change: Change) -> None:
        with self._ready:
            if len(self._waiting) >= WAITING_MAX:
                self._waiting.clear()
                change = Reset()
            self._waiting.append(change)
            self._ready.notify()
        self._on_ready()

    def close(self) -> None:
        with self._ready:
            self._is_closed = True
            self._ready.notify()
        self._on_ready()

    def take(self, timeout_s: float | None) -> Change | None:
        """The next change. None: none came in time, or it is closed and nothing is left."""
        with self._ready:
            self._ready.wait_for(lambda: self._waiting or self._is_closed, timeout_s)
            return self._waiting.popleft() if self._waiting else None

    @property
    def is_closed(self) -> bool:
        with self._ready:
            return self._is_closed and not self._waiting
