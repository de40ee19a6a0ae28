"""A homeserver in miniature, in time of the test's own: its database, and sidecars."""

from __future__ import annotations

import secrets
from typing import Any

from twisted.internet.task import Clock

from splitcache_client.gen import event_cache_service_pb2 as pb
from splitcache_client.pending import Pending

EVENTS = ("$a", "$b")


class Database:
    """The truth: of each event a version, and when each version was committed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.rows: dict[str, str] = {}
        self.epoch = self.recorded = ""
        self.superseded: set[str] = set()
        self.counter = self.heard = 0
        self.committed: dict[str, list[float]] = {event_id: [0.0] for event_id in EVENTS}

    def version(self, event_id: str) -> int:
        return len(self.committed[event_id])

    def version_at(self, event_id: str, time: float) -> int:
        """The version that everybody must know who knows all that was committed before."""
        return sum(at < time for at in self.committed[event_id])

    def commit(self, event_id: str, pending: Pending) -> int:
        pending.add_events("", [event_id])
        pending.row_id = secrets.token_hex(8)
        self.rows[pending.row_id] = pending.text()
        self.committed[event_id].append(self._clock.seconds())
        return self.version(event_id)


class Log:
    """A sidecar: its entries, and the fence."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.epoch = secrets.token_bytes(16)
        self.sequence = 0
        self.entries: dict[str, int] = {}
        self.changed: dict[str, int] = {}

    @property
    def position(self) -> pb.Position:
        return pb.Position(epoch=self.epoch, sequence=self.sequence)

    def answer(self, method: str, request: Any) -> Any:
        if method == "PurgeHomeserver" and request.new_epoch:
            self.restart()
        elif method in ("InvalidateEvents", "PurgeHomeserver"):
            self.sequence += 1
            for event_id in EVENTS if method == "PurgeHomeserver" else request.event_ids:
                self.entries.pop(event_id, None)
                self.changed[event_id] = self.sequence
        return pb.InvalidateEventsResponse(position=self.position)

    def put(self, event_id: str, version: int, as_of: pb.Position) -> None:
        if as_of.epoch == self.epoch and as_of.sequence >= self.changed.get(event_id, 0):
            self.entries[event_id] = version
