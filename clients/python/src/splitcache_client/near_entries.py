"""The near cache: events that this process has read, bounded by bytes.

When an entry may be used is decided by near_cache.NearCache; here they are kept and dropped. For
any thread: one lock covers a lookup together with the question whether it may be used, so that no
entry is judged by what was proved after it was dropped.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable

from splitcache_client.event import Event

# Entries of purged rooms that are freed in one go.
SWEPT_MAX = 10_000


class _Room:
    """All entries of a room point at it, so that a purge marks one object."""

    __slots__ = ("event_ids", "is_purged")

    def __init__(self) -> None:
        self.is_purged = False
        self.event_ids: set[str] = set()


class _Entry:
    __slots__ = ("event", "is_used", "room")

    def __init__(self, event: Event, room: _Room) -> None:
        self.event = event
        self.room = room
        # Since it was last passed over when room was made.
        self.is_used = False


class NearEntries:
    """Makes room by the clock algorithm: an entry that was used gets a second turn."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._lock = threading.Lock()
        self._bytes = 0
        # The next one to be passed over first.
        self._entries: dict[str, _Entry] = {}
        self._rooms: dict[str, _Room] = {}
        self._purged: deque[_Room] = deque()

    @property
    def bytes(self) -> int:
        return self._bytes

    def get(self, event_ids: Iterable[str], may_use: Callable[[], bool]) -> dict[str, Event]:
        """What is kept of these; nothing if what is kept may not be used now."""
        found: dict[str, Event] = {}
        with self._lock:
            entries = self._entries
            for event_id in event_ids:
                entry = entries.get(event_id)
                if entry is not None and not entry.room.is_purged:
                    entry.is_used = True
                    found[event_id] = entry.event
            # Asked last: the clock is read after the lookup.
            return found if found and may_use() else {}

    def keep(self, events: Iterable[Event]) -> None:
        with self._lock:
            for event in events:
                if event.bytes <= self._bytes_max:
                    self._remove(event.event_id)
                    room = self._rooms.get(event.room_id)
                    if room is None:
                        room = self._rooms[event.room_id] = _Room()
                    room.event_ids.add(event.event_id)
                    self._entries[event.event_id] = _Entry(event, room)
                    self._bytes += event.bytes
            self._make_room()

    def event(self, event_id: str) -> None:
        with self._lock:
            self._remove(event_id)

    def room(self, room_id: str) -> None:
        """O(1): `sweep` frees the memory."""
        with self._lock:
            room = self._rooms.pop(room_id, None)
            if room is not None:
                room.is_purged = True
                self._purged.append(room)

    def everything(self) -> None:
        with self._lock:
            self._entries = {}
            self._rooms = {}
            self._purged.clear()
            self._bytes = 0

    def kept(self) -> None:
        self.everything()

    def sweep(self) -> None:
        """Frees entries of purged rooms, a bounded number of them."""
        with self._lock:
            left = SWEPT_MAX
            while self._purged and left > 0:
                room = self._purged[0]
                while room.event_ids and left > 0:
                    left -= 1
                    # What was kept of the room since has another room object.
                    self._remove(room.event_ids.pop())
                if not room.event_ids:
                    self._purged.popleft()

    def _make_room(self) -> None:
        while self._bytes > self._bytes_max:
            event_id = next(iter(self._entries))
            entry = self._entries[event_id]
            if entry.is_used and not entry.room.is_purged:
                entry.is_used = False
                # To the end.
                self._entries[event_id] = self._entries.pop(event_id)
            else:
                self._remove(event_id)

    def _remove(self, event_id: str) -> None:
        entry = self._entries.pop(event_id, None)
        if entry is None:
            return
        self._bytes -= entry.event.bytes
        entry.room.event_ids.discard(event_id)
        if not entry.room.event_ids and not entry.room.is_purged:
            del self._rooms[entry.event.room_id]
