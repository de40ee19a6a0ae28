"""Announces what this process changes, and relays what other processes left behind."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator

import grpc
from cache import EVENTS_MAX, Cache
from follow import said
from gate import POLL_S, ROWS_MAX, WRITE_WAIT_S, Gate, Poll, clock
from outbox_table import OutboxTable
from splitcache_proto.v1 import event_cache_service_pb2 as pb

# Short, so that a sidecar that does not answer does not delay the next poll for long.
CALL_S = 0.5
PAUSE_S = 0.05


def events_changed(room_id: str, *event_ids: str) -> str:
    """What a row says."""
    return json.dumps({"version": 1, "rooms": [], "events": {room_id: event_ids}})


class Outbox(threading.Thread):
    """Polls in a thread of its own: a main loop that is busy must not close the gate."""

    def __init__(
        self, path: str, cache: Cache, answered: Callable[[pb.Position, float], None]
    ) -> None:
        """`answered` takes each position requested while the gate was open, and when it was."""
        super().__init__(name="outbox", daemon=True)
        self.gate = Gate()
        self._path = path
        self._cache = cache
        self._answered = answered
        self._poll_before: Poll | None = None
        # For announcements of this process, which its main thread makes.
        self._writer_table = OutboxTable(path)

    def announce(self, row: str, announcement: str, committed_at: float) -> bool:
        """Announces a change whose COMMIT was answered. Returns True once no lookup that begins
        later is stale; False if it took too long: then readers have closed their gates, and
        whoever polls relays the row."""
        ends_at = committed_at + WRITE_WAIT_S
        is_deleted = False
        epoch = ""
        while clock() < ends_at:
            if not is_deleted:
                epoch = self._call(announcement) or ""
                is_deleted = self.gate.announced([row], epoch) and self._writer_table.delete(
                    [row], epoch
                )
            if is_deleted and self.gate.counts(epoch):
                return True
            time.sleep(PAUSE_S)
        return False

    def run(self) -> None:
        table = OutboxTable(self._path)
        while True:
            started_at = clock()
            is_again = False
            try:
                is_again = self._turn(table, started_at + POLL_S)
            except Exception as error:
                # The gate closes by itself. Nothing may end this thread: it would stay closed.
                said("the outbox cannot be followed:", error)
            if not is_again:
                time.sleep(max(PAUSE_S, started_at + POLL_S - clock()))

    def _turn(self, table: OutboxTable, ends_at: float) -> bool:
        """Polls, and does what is most urgent. Returns whether the next turn is due at once."""
        poll = table.poll()
        before, self._poll_before = self._poll_before, poll
        self.gate.learn(poll)
        if before is None or poll.epoch != before.epoch:
            said("registered", poll.epoch or "no epoch")
        if self.gate.is_other_database:
            # The cache may hold what this database has never held, or holds no more.
            return self._begin_epoch(table, poll)
        epoch = self._request_position()
        if epoch not in (None, poll.epoch) and table.register(epoch, poll):
            # It is used from the next poll on, which shows it.
            return True
        if self.gate.is_epoch_silent():
            return self._begin_epoch(table, poll)
        # One process that raises them is enough.
        table.raise_counters(
            counter=before is None or poll.counter == before.counter,
            heard=epoch == poll.epoch and (before is None or poll.heard == before.heard),
            epoch=poll.epoch,
        )
        if epoch == poll.epoch:
            self._relay(table, poll, ends_at)
        return False

    def _begin_epoch(self, table: OutboxTable, poll: Poll) -> bool:
        epoch = self._purge(new_epoch=True)
        if epoch is None or not table.register(epoch, poll):
            return False
        self.gate.purged()
        return True

    def _request_position(self) -> str | None:
        is_open = self.gate.is_open()
        sent_at = clock()
        try:
            position = self._cache.position(CALL_S, attempts=1)
        except grpc.RpcError:
            return None
        if is_open:
            self._answered(position, sent_at)
        return position.epoch.hex()

    def _relay(self, table: OutboxTable, poll: Poll, ends_at: float) -> None:
        if len(poll.rows) > ROWS_MAX:
            epoch, rows = self._purge(), poll.rows
            if epoch is not None and self.gate.announced(rows, epoch):
                table.delete(rows, epoch)
            return
        relayed = 0
        for row in self.gate.overdue():
            announcement = table.announcement(row)
            # A row that is gone was relayed by another process.
            if announcement is not None:
                epoch = self._call(announcement)
                if epoch is None or not self.gate.announced([row], epoch):
                    break
                relayed += 1
            if clock() >= ends_at:
                break
        rows = self.gate.deletable()
        if rows and table.delete(rows, poll.epoch) and relayed:
            said("relayed", relayed)

    def _call(self, announcement: str) -> str | None:
        """Returns the epoch in which all calls of an announcement were answered OK, if it is one."""
        epochs = set()
        for method, request in calls(announcement, self._cache.homeserver):
            try:
                reply = self._cache.call(method, request, CALL_S, attempts=1)
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.INVALID_ARGUMENT:
                    return None
                # It would be refused each time. A purge covers it.
                return self._purge()
            epochs.add(reply.position.epoch.hex())
        if not epochs:
            # What says nothing may concern everything.
            return self._purge()
        return epochs.pop() if len(epochs) == 1 else None

    def _purge(self, new_epoch: bool = False) -> str | None:
        request = pb.PurgeHomeserverRequest(
            homeserver=self._cache.homeserver, new_epoch=new_epoch
        )
        try:
            reply = self._cache.call("PurgeHomeserver", request, CALL_S, attempts=1)
        except grpc.RpcError:
            return None
        return reply.position.epoch.hex()


def calls(announcement: str, homeserver: str) -> Iterator[tuple[str, object]]:
    """The calls that announce what a row says."""
    try:
        what = json.loads(announcement)
        rooms, events = what["rooms"], what["events"]
        is_known = what["version"] == 1
    except (ValueError, KeyError, TypeError):
        is_known = False
    if not is_known:
        # What cannot be read may concern everything, like what a later version says.
        yield "PurgeHomeserver", pb.PurgeHomeserverRequest(homeserver=homeserver)
        return
    for room_id in rooms:
        yield "PurgeRoom", pb.PurgeRoomRequest(homeserver=homeserver, room_id=room_id)
    for room_id, event_ids in events.items():
        for start in range(0, len(event_ids), EVENTS_MAX):
            yield (
                "InvalidateEvents",
                pb.InvalidateEventsRequest(
                    homeserver=homeserver,
                    room_id=room_id,
                    event_ids=event_ids[start : start + EVENTS_MAX],
                ),
            )
