"""Applies each change to all that this process keeps."""

from __future__ import annotations

import threading
from collections.abc import Callable

from splitcache_client.changes import (
    Change,
    EventChanged,
    Follower,
    HomeserverPurged,
    Reset,
    RoomPurged,
)
from splitcache_client.near_entries import NearEntries

FOLLOWERS_MAX = 100


class Drops:
    """In the loop's thread; followers come and go in any thread."""

    def __init__(self, entries: NearEntries, invalidated: Callable[[str | None], None]) -> None:
        """`invalidated`: a lookup under way must not bring back what the event (None: any) was."""
        self._entries = entries
        self._invalidated = invalidated
        self._lock = threading.Lock()
        self._followers: list[Follower] = []

    def follow(self, follower: Follower) -> None:
        with self._lock:
            if len(self._followers) >= FOLLOWERS_MAX:
                raise ValueError(f"at most {FOLLOWERS_MAX} may follow the changes of one client")
            self._followers.append(follower)

    def unfollow(self, follower: Follower) -> None:
        with self._lock:
            if follower in self._followers:
                self._followers.remove(follower)
        follower.close()

    def close(self) -> None:
        with self._lock:
            followers, self._followers = self._followers, []
        for follower in followers:
            follower.close()

    def event(self, event_id: str) -> None:
        self._invalidated(event_id)
        self._entries.event(event_id)
        self._report(EventChanged(event_id))

    def room(self, room_id: str) -> None:
        # The room of a reply under way is not known yet.
        self._invalidated(None)
        self._entries.room(room_id)
        self._report(RoomPurged(room_id))

    def everything(self) -> None:
        self._invalidated(None)
        self._entries.everything()
        self._report(HomeserverPurged())

    def kept(self) -> None:
        self._invalidated(None)
        self._entries.everything()
        self._report(Reset())

    def _report(self, change: Change) -> None:
        with self._lock:
            followers = list(self._followers)
        for follower in followers:
            follower.add(change)


class OwnDrops:
    """Drops what this process itself has changed. Followers get the notice of it later."""

    def __init__(self, entries: NearEntries, invalidated: Callable[[str | None], None]) -> None:
        self._entries = entries
        self._invalidated = invalidated

    def event(self, event_id: str) -> None:
        self._invalidated(event_id)
        self._entries.event(event_id)

    def room(self, room_id: str) -> None:
        self._invalidated(None)
        self._entries.room(room_id)

    def everything(self) -> None:
        self._invalidated(None)
        self._entries.everything()

    def kept(self) -> None:
        self.everything()
