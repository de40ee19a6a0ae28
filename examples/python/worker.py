"""A process of a homeserver: it reads events through the cache, and changes them.

It takes commands from standard input: `read EVENT_ID` and `change EVENT_ID TEXT`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading

import grpc
from cache import Cache
from follow import follow, said
from gate import REPLY_AGE_MAX_S, clock
from near_cache import NearCache
from outbox import Outbox, events_changed
from outbox_table import connect, create_tables, insert, transaction
from splitcache_proto.v1 import event_cache_service_pb2 as pb
from tour import ONE, ROOM, TWO, message


class Homeserver:
    """Its database: events that can change. New events owe no announcement."""

    def __init__(self, path: str) -> None:
        self._connection = connect(path)
        create_tables(self._connection)
        with transaction(self._connection):
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS events (event_id TEXT PRIMARY KEY, body TEXT NOT NULL)"
            )
            for event in (message(ONE, "one"), message(TWO, "two")):
                self._connection.execute(
                    "INSERT INTO events VALUES (?, ?) ON CONFLICT DO NOTHING",
                    (event.event_id, event.body.decode()),
                )

    def read(self, event_id: str) -> pb.CachedEvent | None:
        found = self._connection.execute(
            "SELECT body FROM events WHERE event_id = ?", (event_id,)
        ).fetchone()
        if found is None:
            return None
        return pb.CachedEvent(
            event_id=event_id, room_id=ROOM, room_version="10", body=found[0].encode()
        )

    def change(self, event_id: str, text: str) -> tuple[str, str]:
        """Returns the row of the outbox, after COMMIT was answered, and what it says. If this
        raises, the outcome may be unknown: the row, if it is there, is relayed."""
        announcement = events_changed(ROOM, event_id)
        with transaction(self._connection):
            self._connection.execute(
                "UPDATE events SET body = ? WHERE event_id = ?",
                (message(event_id, text).body.decode(), event_id),
            )
            row = insert(self._connection, announcement)
        return row, announcement


class Worker:
    def __init__(self, cache: Cache, path: str) -> None:
        self._cache = cache
        self._homeserver = Homeserver(path)
        self._near = NearCache()
        self._outbox = Outbox(path, cache, self._near.answered)
        self._gate = self._outbox.gate

    def run(self) -> None:
        self._outbox.start()
        threading.Thread(target=follow, args=(self._cache, self._near), daemon=True).start()
        for line in sys.stdin:
            command, event_id, *text = line.rstrip("\n").split(" ", 2)
            if command == "read":
                said("read", event_id, *self.read(event_id))
            elif command == "change":
                said("changed", event_id, self.change(event_id, text[0]))

    def read(self, event_id: str) -> tuple[str, str]:
        """The event's text, and where it is from."""
        if not self._gate.is_open():
            return _text(self._homeserver.read(event_id)), "from the database, the gate is closed"
        kept = self._near.get(event_id) if self._gate.uses(self._near.epoch()) else None
        if kept is not None:
            return _text(kept), "kept"
        hit, as_of = self._look_up(event_id)
        if hit is not None:
            return _text(hit), "from the cache"
        # After the reply, never before it.
        event = self._homeserver.read(event_id)
        if event is not None and as_of is not None:
            try:
                self._cache.put([event], as_of)
            except grpc.RpcError as error:
                said("not filled:", error.code().name)
        return _text(event), "from the database"

    def _look_up(self, event_id: str) -> tuple[pb.CachedEvent | None, pb.Position | None]:
        """What the cache has, or a position to fill with, or neither."""
        sent_at = clock()
        try:
            found = self._cache.get([event_id])
        except grpc.RpcError:
            return None, None
        if found.position is None or not self._gate.uses(found.position.epoch.hex()):
            return None, None
        if found.hits and clock() - sent_at < REPLY_AGE_MAX_S:
            self._near.keep(found.hits[0], found.position, sent_at)
            return found.hits[0], None
        return None, found.position

    def change(self, event_id: str, text: str) -> str:
        row, announcement = self._homeserver.change(event_id, text)
        is_visible = self._outbox.announce(row, announcement, clock())
        return "and announced" if is_visible else "and left to the relays"


def commit_and_die(path: str, event_id: str, text: str) -> None:
    """What the outbox is for: a process that dies between its COMMIT and its announcement."""
    row, _ = Homeserver(path).change(event_id, text)
    said("committed", row)
    os.kill(os.getpid(), signal.SIGKILL)


def _text(event: pb.CachedEvent | None) -> str:
    return json.loads(event.body)["content"]["body"] if event is not None else "(none)"
