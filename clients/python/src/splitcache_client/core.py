"""The parts of a client, put together. The faces for threads and for asyncio are over it."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Future, wait
from functools import partial

from splitcache_client.announcer import Announcer
from splitcache_client.channel import Channels
from splitcache_client.clock import monotonic
from splitcache_client.drops import Drops, OwnDrops
from splitcache_client.epoch_rules import EPOCH_SILENCE_MAX_S
from splitcache_client.event import Event, from_message, to_message
from splitcache_client.freshness import Freshness
from splitcache_client.gen import event_cache_service_pb2 as pb
from splitcache_client.lookups import Lookup
from splitcache_client.loop import Loop
from splitcache_client.near_cache import NearCache
from splitcache_client.near_entries import NearEntries
from splitcache_client.options import Options
from splitcache_client.outbox import Outbox
from splitcache_client.outbox_database import OutboxDatabase
from splitcache_client.outbox_rules import REPLY_AGE_MAX_S, OutboxRules
from splitcache_client.outbox_table import OutboxTable
from splitcache_client.pending import Pending
from splitcache_client.pool_generation import PoolGeneration
from splitcache_client.reader import ReaderFreshness
from splitcache_client.relay import Relay
from splitcache_client.sidecar import Sidecar
from splitcache_client.subscription import Subscription
from splitcache_client.transport import GrpcTransport

logger = logging.getLogger(__name__)

_SWEEP_INTERVAL_S = 1.0


class Core:
    """One client of one homeserver at one sidecar. Its methods are for any thread."""

    def __init__(self, options: Options) -> None:
        """Reads the certificates, creates the tables of the outbox, and connects in the
        background."""
        self.options = options
        self.loop = Loop()
        self.near = NearCache()
        self.entries = NearEntries(options.near_bytes_max)
        channels = Channels(options.address, options.security)
        self._transport = GrpcTransport(channels, self.loop)
        self.outbox: Outbox | None = None
        self.rules: OutboxRules | None = None
        self._pool_generation: PoolGeneration | None = None
        if options.database is not None:
            self._make_outbox(channels, options.database)
        self.reader = None if self.outbox else ReaderFreshness(self.near)
        freshness: Freshness | None = self.outbox or self.reader
        assert freshness is not None
        self.sidecar = Sidecar(
            transport=self._transport,
            reactor=self.loop,
            monotonic=monotonic,
            homeserver=options.homeserver,
            read_deadline_s=options.read_deadline_s,
            metrics=options.metrics,
            freshness=freshness,
            near=self.near,
            prepare=lambda event: partial(to_message, event),
            decode=from_message,
            view=options.view.value,
        )
        self._announcer = Announcer(
            transport=self._transport,
            reactor=self.loop,
            monotonic=monotonic,
            homeserver=options.homeserver,
            freshness=freshness,
            metrics=options.metrics,
        )
        self.drops = Drops(self.entries, self.sidecar.invalidated)
        self._subscription = Subscription(
            open_call=self._transport.subscribe,
            reactor=self.loop,
            monotonic=monotonic,
            homeserver=options.homeserver,
            subscriber=options.subscriber,
            near=self.near,
            drop=self.drops,
        )
        # Puts under way: few more than Fills lets wait.
        self._puts: set[Future[None]] = set()
        self._is_closed = threading.Event()
        self.loop.callFromThread(self._start)
        self.loop.start()

    def _make_outbox(self, channels: Channels, database: OutboxDatabase) -> None:
        database.create_tables()
        # Of several processes that wait for a new epoch, one begins it.
        self.rules = OutboxRules(epoch_silence_s=EPOCH_SILENCE_MAX_S + random.uniform(0, 10))
        self.outbox = Outbox(
            table=OutboxTable(database, monotonic),
            relay=Relay(channels, self.options.homeserver, self.options.metrics),
            rules=self.rules,
            reactor=self.loop,
            monotonic=monotonic,
            metrics=self.options.metrics,
        )
        ask = self.options.read_generation or database.generation
        self._pool_generation = PoolGeneration(ask, self.rules)

    def _start(self) -> None:
        if self.outbox is not None and self._pool_generation is not None:
            self.outbox.start()
            self._pool_generation.start()
        # First: what is kept is used only if the stream has applied what came after.
        self._subscription.start()
        self.sidecar.start()
        self._sweep()

    def _sweep(self) -> None:
        self.loop.callLater(_SWEEP_INTERVAL_S, self._sweep)
        self.entries.sweep()

    def near_hits(self, event_ids: Iterable[str]) -> dict[str, Event]:
        if self.options.near_bytes_max == 0:
            return {}
        found = self.entries.get(event_ids, self.sidecar.may_use_kept)
        if found:
            self.options.metrics.near(len(found))
        return found

    def look(self, event_ids: Collection[str]) -> Future[Lookup]:
        """Asks the sidecar. What may be kept is kept."""
        future: Future[Lookup] = Future()

        def done(lookup: Lookup) -> None:
            # In the turn in which it was judged.
            self.entries.keep(lookup.hits[one] for one in lookup.keep)
            if future.set_running_or_notify_cancel():
                future.set_result(lookup)

        self._check_open()
        self.loop.callFromThread(self.sidecar.ask, event_ids, done)
        return future

    def usable(self, lookup: Lookup) -> dict[str, Event]:
        """The hits that the calling thread may use now: it may have been woken late (O6)."""
        now = monotonic()
        late = {one for one in lookup.hits if now - lookup.origins[one][1] >= REPLY_AGE_MAX_S}
        hits = {one: event for one, event in lookup.hits.items() if one not in late}
        return hits | self.near_hits(late) if late else hits

    def put(self, events: Sequence[Event], as_of: pb.Position) -> Future[None]:
        """Ends when each event was put, or was left out."""
        future: Future[None] = Future()

        def done() -> None:
            if future.set_running_or_notify_cancel():
                future.set_result(None)

        self._check_open()
        self._puts.add(future)
        future.add_done_callback(self._puts.discard)
        self.loop.callFromThread(self.sidecar.put, events, as_of, done)
        return future

    def settled(self, timeout_s: float) -> bool:
        """Waits for the puts of before. Whether all have ended."""
        return not wait(set(self._puts), timeout_s).not_done

    def is_current(self) -> bool:
        """Whether what is kept may be used and, with a database, what is read may be put."""
        if not self.sidecar.may_use_kept():
            return False
        return self.outbox is None or self.outbox.fills(self.near.epoch)

    def announce(self, pending: Pending) -> Future[None]:
        """After COMMIT was answered."""
        if self.outbox is None:
            raise ValueError("a client without a database must not change events")
        if pending.row_id is None:
            raise ValueError("the change was not inserted into the outbox in its transaction")
        future: Future[None] = Future()

        def done() -> None:
            if future.set_running_or_notify_cancel():
                future.set_result(None)

        def announce() -> None:
            pending.drop_from(OwnDrops(self.entries, self.sidecar.invalidated))
            self._announcer.announce(pending, done)

        self._check_open()
        self.loop.callFromThread(announce)
        return future

    def _check_open(self) -> None:
        if self._is_closed.is_set():
            raise RuntimeError("the client is closed")

    def close(self, timeout_s: float) -> None:
        """Waits for announcements under way. May be called again."""
        if self._is_closed.is_set():
            return
        self._is_closed.set()
        ended = threading.Event()
        self.loop.callFromThread(self._stop, ended.set)
        ended.wait(timeout_s)
        if self.outbox is not None:
            self.outbox.stop()
            self.outbox.thread.join(timeout_s)
        self.loop.callFromThread(self.sidecar.stop)
        self.loop.stop(timeout_s)

    def _stop(self, on_idle: Callable[[], None]) -> None:
        self._subscription.stop()
        self.drops.close()
        if self._pool_generation is not None:
            self._pool_generation.stop()
        self._announcer.when_idle(on_idle)
