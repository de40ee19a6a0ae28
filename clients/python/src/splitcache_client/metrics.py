"""What the library reports of itself. A caller overrides the methods for its own metrics."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Protocol


class OutboxState(Protocol):
    """What can be seen of the outbox from outside."""

    def is_open(self) -> bool: ...

    def gate_age_s(self) -> float: ...

    def bound_s(self) -> float: ...

    def rows(self) -> int: ...

    def oldest_row_s(self) -> float: ...


class ClientMetrics:
    """Hooks that do nothing. They are called in several threads, must not wait and must not
    raise."""

    def looked_up(self, hits: int, misses: int) -> None:
        """Events of one lookup that went to the sidecar, or was refused by the gate."""

    def near(self, hits: int) -> None:
        """Events that the near cache answered."""

    def request_done(self, seconds: float, batch_size: int) -> None:
        """One request for events was answered or failed."""

    def error(self, kind: str) -> None:
        """A call failed, or a poll of the outbox."""

    def breaker_state(self, state: int) -> None:
        """0 closed, 1 half open, 2 open."""

    def filled(self, outcome: str, events: int = 1) -> None:
        """Events that were put, by outcome; `dropped` and `failed` were not."""

    def announced(self, kind: str, outcome: str) -> None:
        """An announcement of events, a room or the homeserver: ok, late or relayed."""

    def pending(self, changes: int) -> None:
        """How many changes are being announced."""

    def writes_wait(self, waits: bool) -> None:
        """Whether writes wait for their announcement."""

    def watch_outbox(self, outbox: OutboxState) -> None:
        """Gives access to the state of the outbox, to be read at any time."""

    def replied_in_another_epoch(self) -> None:
        """A reply was of an epoch that is not the registered one."""


class Counters(ClientMetrics):
    """Counts what happened since the start. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def read(self) -> dict[str, int]:
        """By name, such as `hits`, `misses`, `near_hits`, `error_deadline`, `filled_stored`."""
        with self._lock:
            return dict(self._counts)

    def looked_up(self, hits: int, misses: int) -> None:
        with self._lock:
            self._counts["hits"] += hits
            self._counts["misses"] += misses

    def near(self, hits: int) -> None:
        with self._lock:
            self._counts["near_hits"] += hits

    def request_done(self, seconds: float, batch_size: int) -> None:
        self._add("requests")

    def error(self, kind: str) -> None:
        self._add(f"error_{kind}")

    def filled(self, outcome: str, events: int = 1) -> None:
        self._add(f"filled_{outcome}", events)

    def announced(self, kind: str, outcome: str) -> None:
        self._add(f"announced_{outcome}")

    def replied_in_another_epoch(self) -> None:
        self._add("other_epoch_replies")

    def _add(self, name: str, number: int = 1) -> None:
        with self._lock:
            self._counts[name] += number
