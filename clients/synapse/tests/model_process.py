"""The processes of a homeserver in miniature: they run the module's own rules, their calls are late
or lost, and they freeze and die."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.task import Clock

from splitcache_client.gen import event_cache_service_pb2 as pb
from splitcache_client.outbox import Outbox
from splitcache_client.outbox_poll import Change, Poll
from splitcache_client.outbox_rules import REPLY_AGE_MAX_S, WRITE_WAIT_S, OutboxRules
from splitcache_client.outbox_table import OutboxUnavailable
from splitcache_client.pending import Pending
from splitcache_client.relay import Relayed
from splitcache_synapse.announcer import Announcer
from splitcache_synapse.metrics import BridgeMetrics
from tests.model import Database, Log

_METRICS = BridgeMetrics("model.example")


class Table:
    """What a process sees of the database: at times nothing, or rows of a moment ago."""

    def __init__(self, process: Process) -> None:
        self._process = process
        # When the rows were read, and which, of a poll that has not read the state yet.
        self._read: tuple[float, tuple[str, ...]] | None = None

    def read_rows(self) -> None:
        """A poll reads the rows now, and the state later: each statement has its own snapshot."""
        world = self._process.world
        self._read = (world.clock.seconds(), tuple(world.database.rows))

    def poll(self) -> Poll:
        database = self._reach()
        if self._read is None:
            self.read_rows()
        assert self._read is not None
        (sent_at, rows), self._read = self._read, None
        return Poll(
            sent_at=sent_at,
            answered_at=self._process.world.clock.seconds(),
            rows=rows,
            epoch=bytes.fromhex(database.epoch),
            generation="g",
            recorded_generation=database.recorded,
            counter=database.counter,
            heard=database.heard,
        )

    def raise_counters(self, counter: bool, heard: bool, epoch: bytes) -> None:
        database = self._reach()
        if database.epoch == epoch.hex():
            database.counter += counter
            database.heard += heard

    def announcements(self, rows: Iterable[str]) -> dict[str, str]:
        database = self._reach()
        return {row: database.rows[row] for row in rows if row in database.rows}

    def delete(self, rows: Iterable[str], epoch: bytes) -> bool:
        database = self._reach()
        if database.epoch != epoch.hex():
            return False
        for row in rows:
            database.rows.pop(row, None)
        return True

    def register(self, epoch: bytes, replaced: bytes) -> bool:
        database = self._reach()
        if epoch.hex() in database.superseded:
            return False
        self._replace(database, epoch, replaced)
        return True

    def begin_generation(self, change: Change, epoch: bytes) -> bool:
        database = self._reach()
        is_begun = database.recorded == change.recorded_generation and self._replace(
            database, epoch, change.epoch
        )
        if is_begun:
            database.recorded = change.generation
        return is_begun

    @staticmethod
    def _replace(database: Database, epoch: bytes, replaced: bytes) -> bool:
        if database.epoch != replaced.hex():
            return False
        database.superseded.add(database.epoch)
        database.epoch = epoch.hex()
        return True

    def _reach(self) -> Database:
        if self._process.has_no_database:
            raise OutboxUnavailable("cut off")
        return self._process.world.database


class Network:
    """Calls of one process, that are late or lost."""

    immediate = False

    def __init__(self, process: Process) -> None:
        self._process = process

    def unary(self, method: str, request: Any, timeout_s: float, on_done: Any) -> None:
        self.call(lambda log: log.answer(method, request), timeout_s, on_done)

    def call(
        self, work: Callable[[Log], Any], timeout_s: float, on_done: Callable[[Any], None]
    ) -> None:
        process = self._process
        log = process.log
        there_s, back_s = self._delay_s(), self._delay_s()
        arrives = not self._is_lost()
        is_answered = arrives and not self._is_lost() and there_s + back_s < timeout_s

        def arrive() -> None:
            reply = work(log)
            if is_answered:
                process.call_later(back_s, on_done, reply)

        if arrives:
            # On its way it is nobody's: a process that dies does not take it back.
            process.world.clock.callLater(there_s, arrive)
        if not is_answered:
            process.call_later(timeout_s, on_done, TimeoutError())

    def _is_lost(self) -> bool:
        process = self._process
        return process.has_no_sidecar or process.world.dice.random() < process.world.loss

    def _delay_s(self) -> float:
        dice = self._process.world.dice
        return dice.uniform(0, 3) if dice.random() < self._process.world.loss else 0.002


class Relay:
    """The module's, without its thread."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.is_busy = False

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def announce(self, texts: Iterable[str], on_done: Callable[[Any], None]) -> None:
        everything = Pending()
        for text in texts:
            everything.add_text(text)
        ((_, method, request),) = everything.announcements("model.example")
        self._call(method, request, on_done)

    def purge(self, on_done: Callable[[Any], None], *, new_epoch: bool = False) -> None:
        request = pb.PurgeHomeserverRequest(new_epoch=new_epoch)
        self._call("PurgeHomeserver", request, on_done)

    def _call(self, method: str, request: Any, on_done: Callable[[Any], None]) -> None:
        self.is_busy = True

        def done(reply: Any) -> None:
            self.is_busy = False
            is_lost = isinstance(reply, Exception)
            on_done(None if is_lost else Relayed(bytes(reply.position.epoch)))

        self._network.unary(method, request, 1.0, done)


class Process:
    """Reads, writes, polls and relays. Dead, it does nothing any more; frozen, all of it later."""

    def __init__(self, world: World, log: Log) -> None:
        self.world = world
        self.log = log
        self.has_no_database = self.has_no_sidecar = self.is_dead = False
        self.frozen_until = 0.0
        self.rules = OutboxRules(epoch_silence_s=20 + 5 * len(world.processes))
        self.rules.pool_showed("g")
        network = Network(self)
        self.network = network
        self.table = Table(self)
        common: dict[str, Any] = {
            "reactor": self,
            "monotonic": world.clock.seconds,
            "metrics": _METRICS,
        }
        self.outbox = Outbox(
            table=self.table,  # type: ignore[arg-type]
            relay=Relay(network),  # type: ignore[arg-type]
            rules=self.rules,
            **common,
        )
        self.announcer = Announcer(
            transport=network,  # type: ignore[arg-type]
            homeserver="model.example",
            freshness=self.outbox,
            **common,
        )
        self.ask_position()

    def call_later(self, seconds: float, call: Callable[..., Any], *args: Any) -> Any:
        def run() -> None:
            left_s = self.frozen_until - self.world.clock.seconds()
            if self.is_dead:
                return
            if left_s > 0:
                self.world.clock.callLater(left_s, run)
            else:
                call(*args)

        return self.world.clock.callLater(seconds, run)

    callLater = call_later

    def callFromThread(self, call: Callable[..., Any], *args: Any) -> None:
        call(*args)

    @property
    def is_running(self) -> bool:
        return not self.is_dead and self.world.clock.seconds() >= self.frozen_until

    def ask_position(self) -> None:
        self.call_later(0.9, self.ask_position)
        sent_at = self.world.clock.seconds()

        def done(reply: Any) -> None:
            if not isinstance(reply, Exception):
                self.outbox.replied(bytes(reply.position.epoch), sent_at)

        self.network.call(lambda log: pb.GetEventsResponse(position=log.position), 0.9, done)

    def write(self, event_id: str) -> None:
        pending = Pending()
        version = self.world.database.commit(event_id, pending)

        def replied() -> None:
            began, waits = self.world.clock.seconds(), self.announcer._waits

            def done(_: Any) -> None:
                in_time = waits and self.world.clock.seconds() - began < WRITE_WAIT_S
                self.world.write_returned(event_id, version, in_time)

            self.announcer.finish(pending).addCallback(done)

        self.call_later(self.world.dice.choice([0.001, 0.001, 0.5]), replied)

    def read(self, event_id: str) -> None:
        """Looks it up, and fills it if it is missing."""
        if not self.outbox.is_open():
            return
        sent_at = self.world.clock.seconds()
        known = self.world.returned.get(event_id, 0)

        def done(reply: Any) -> None:
            if isinstance(reply, Exception) or not self.outbox.uses(reply[0].epoch):
                return
            position, version = reply
            self.outbox.replied(bytes(position.epoch), sent_at)
            if version is None:
                self.fill(event_id, position)
            elif self.world.clock.seconds() - sent_at < REPLY_AGE_MAX_S:
                self.world.used(event_id, version, sent_at, known)

        self.network.call(lambda log: (log.position, log.entries.get(event_id)), 1.0, done)

    def fill(self, event_id: str, as_of: pb.Position) -> None:
        version = self.world.database.version(event_id)

        def put() -> None:
            if self.outbox.fills(as_of.epoch):
                self.network.call(
                    lambda log: log.put(event_id, version, as_of), 1.0, lambda reply: None
                )

        self.call_later(self.world.dice.choice([0.01, 0.01, 2.0]), put)


class World:
    def __init__(self, seed: int, bound_s: float) -> None:
        self.dice = random.Random(seed)
        self.bound_s = bound_s
        self.clock = Clock()
        self.clock.advance(1_000)
        self.database = Database(self.clock)
        self.logs = [Log()]
        # How likely a message is lost, or late.
        self.loss = 0.0
        self.processes: list[Process] = []
        # Of each event, what readers must know who begin from now on.
        self.returned: dict[str, int] = {}
        self.hits = self.announced = self.late = 0

    def write_returned(self, event_id: str, version: int, in_time: bool) -> None:
        if in_time:
            self.announced += 1
            self.returned[event_id] = max(version, self.returned.get(event_id, 0))
        else:
            self.late += 1

    def used(self, event_id: str, version: int, sent_at: float, known: int) -> None:
        """`known`: the version whose write had returned in time when the lookup was sent."""
        self.hits += 1
        needed = max(known, self.database.version_at(event_id, sent_at - self.bound_s))
        assert version >= needed, f"version {version} of {event_id} was served, {needed} is due"
