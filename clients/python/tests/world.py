"""Events and a database as tests have them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from splitcache_client import Event, OutboxDatabase, Pending, SplitCache

HOME = "alpha.example"
ROOM = "!room:alpha.example"
# A test that waits longer than this has failed.
PATIENCE_S = 20.0


def event(event_id: str, text: str = "first", room_id: str = ROOM) -> Event:
    return Event(event_id, room_id, "10", f'{{"text":"{text}"}}'.encode())


class Truth:
    """Stands for the homeserver's tables."""

    def __init__(self, *events: Event) -> None:
        self.events = {one.event_id: one for one in events}
        self.asked: list[list[str]] = []

    def fetch(self, event_ids: Sequence[str]) -> list[Event]:
        self.asked.append(list(event_ids))
        return [self.events[one] for one in event_ids if one in self.events]


def commit(database: OutboxDatabase, *event_ids: str, room: str | None = None) -> Pending:
    """Commits a transaction that changes the events, or the room."""
    pending = Pending()
    if event_ids:
        pending.add_events(ROOM, event_ids)
    if room is not None:
        pending.add_room(room)
    connection = database.connect()
    database.insert(connection.cursor(), pending)
    connection.commit()
    connection.close()
    return pending


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    waiting = threading.Event()
    while not holds():
        assert time.monotonic() < deadline, "did not come true in time"
        waiting.wait(0.01)


def fill(cache: SplitCache, truth: Truth) -> None:
    """Until the sidecar has all, and the near cache of this client as well."""
    ids = list(truth.events)

    def filled() -> bool:
        cache.get_or_fetch(ids, truth.fetch)
        return not cache.get_many(ids).missing

    until(filled)
    keep(cache, ids)


def keep(cache: SplitCache, event_ids: Sequence[str]) -> None:
    """Until the near cache of this client has them."""

    def kept() -> bool:
        cache.get_many(event_ids)
        return len(cache._core.near_hits(event_ids)) == len(event_ids)

    until(kept)


def counted(cache: SplitCache, name: str) -> int:
    return cache.metrics.read().get(name, 0)  # type: ignore[attr-defined]
