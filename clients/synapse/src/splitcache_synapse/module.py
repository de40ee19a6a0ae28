"""Puts the parts together, beside a Synapse that is supported."""

from __future__ import annotations

import logging
import random
from typing import Any

from synapse.logging.context import make_deferred_yieldable, run_in_background

from splitcache_client.channel import Channels
from splitcache_client.clock import monotonic
from splitcache_client.epoch_rules import EPOCH_SILENCE_MAX_S
from splitcache_client.freshness import Freshness, Unchecked
from splitcache_client.near_cache import NearCache
from splitcache_client.outbox import Outbox
from splitcache_client.outbox_rules import OutboxRules
from splitcache_client.outbox_table import OutboxTable
from splitcache_client.pending import Pending
from splitcache_client.relay import Relay
from splitcache_client.subscription import Subscription
from splitcache_client.transport import BlockingTransport, GrpcTransport, Transport
from splitcache_synapse.announcer import Announcer
from splitcache_synapse.audit import Audit
from splitcache_synapse.audited import AuditedSidecar, ShadowedSidecar
from splitcache_synapse.config import BridgeConfig
from splitcache_synapse.database_reader import DatabaseReader
from splitcache_synapse.event_cache import replace_event_cache
from splitcache_synapse.generation import PoolGeneration
from splitcache_synapse.metrics import AuditMetrics, BridgeMetrics
from splitcache_synapse.outbox_database import OutboxDatabase
from splitcache_synapse.read_back import ReadBack
from splitcache_synapse.reads import LocalCaches, Reads
from splitcache_synapse.sidecar import Sidecar
from splitcache_synapse.stored_event import from_cached, prepare
from splitcache_synapse.writes import Writes

logger = logging.getLogger(__name__)


class Bridge:
    """What reads events of a process of Synapse from the sidecar, and announces what it changes.

    Raises ConfigError if the tables of the outbox are not there and cannot be created.
    """

    def __init__(self, config: BridgeConfig, hs: Any) -> None:
        pool = hs.get_datastores().main.db_pool
        self._reactor = hs.get_reactor()
        self._homeserver = config.homeserver or hs.hostname
        self._metrics = BridgeMetrics(hs.hostname)
        self._near = NearCache()
        self._outbox: Outbox | None = None
        self._pool_generation: PoolGeneration | None = None
        self._subscription: Subscription | None = None
        self._transport: Transport
        channels = Channels(config.address, config.security)
        if config.transport == "blocking":
            self._transport = BlockingTransport(channels)
        else:
            self._transport = GrpcTransport(channels, self._reactor)
            # Before anything is patched: a transaction that cannot note what it owes fails.
            self._make_outbox(channels, pool)
        freshness: Freshness = self._outbox or Unchecked()
        self._sidecar = Sidecar(
            transport=self._transport,
            reactor=self._reactor,
            monotonic=monotonic,
            homeserver=self._homeserver,
            read_deadline_s=config.read_deadline_ms / 1000,
            metrics=self._metrics,
            freshness=freshness,
            near=self._near,
            prepare=prepare,
            decode=from_cached,
        )
        self._announcer = Announcer(
            transport=self._transport,
            reactor=self._reactor,
            monotonic=monotonic,
            homeserver=self._homeserver,
            freshness=freshness,
            metrics=self._metrics,
        )
        self._patch(config, hs)
        if self._outbox is not None:
            self._subscribe(hs.get_datastores().main, hs.get_instance_name())
        # Not before the reactor runs: Synapse forks when it is a daemon, and threads would stay
        # behind.
        if self._transport.immediate:
            self._start()
        else:
            self._reactor.callWhenRunning(self._start)
        hs.register_sync_shutdown_handler(
            phase="before", eventType="shutdown", shutdown_func=self._stop
        )
        logger.info("splitcache: reads events of %s at %s", self._homeserver, config.address)

    def _make_outbox(self, channels: Channels, pool: Any) -> None:
        database = OutboxDatabase(pool.engine, pool._database_config)
        database.create_tables()
        # Of several processes that wait for a new epoch, one begins it.
        rules = OutboxRules(epoch_silence_s=EPOCH_SILENCE_MAX_S + random.uniform(0, 10))
        self._outbox = Outbox(
            table=OutboxTable(database, monotonic),
            relay=Relay(channels, self._homeserver, self._metrics),
            rules=rules,
            reactor=self._reactor,
            monotonic=monotonic,
            metrics=self._metrics,
        )
        self._pool_generation = PoolGeneration(pool, self._reactor, rules, database.generation_sql)

    def _subscribe(self, store: Any, instance: str) -> None:
        self._subscription = Subscription(
            open_call=self._transport.subscribe,
            reactor=self._reactor,
            monotonic=monotonic,
            homeserver=self._homeserver,
            subscriber=instance,
            near=self._near,
            drop=LocalCaches(store, self._reads),
        )

    def _patch(self, config: BridgeConfig, hs: Any) -> None:
        datastores = hs.get_datastores()
        store = datastores.main
        self._read_back = ReadBack(
            store, self._sidecar, self._reactor, self._metrics, hs.run_as_background_process
        )
        self._writes = Writes(
            store,
            datastores.persist_events,
            self._announcer,
            has_outbox=self._outbox is not None,
            position=self._sidecar.position,
            stored=self._read_back.stored if config.read_back else None,
        )
        self._audit = Audit(
            share=config.audit_share,
            read_database=DatabaseReader(store).read,
            lookup=self._sidecar.lookup,
            reactor=self._reactor,
            server_name=hs.hostname,
            metrics=AuditMetrics(hs.hostname),
        )
        served: Any = AuditedSidecar(self._sidecar, self._audit)
        if config.shadow:
            served = ShadowedSidecar(self._sidecar, self._audit, self._reactor, monotonic)
        self._reads = Reads(store, served, self._reactor, self._metrics)
        replace_event_cache(
            store,
            announce_event=self._announce_event,
            announce_all=self._announce_all,
            invalidated=self._sidecar.invalidated,
            read_from_database=self._reads.read_from_database,
        )

    async def _announce_event(self, event_id: str) -> None:
        if self._outbox is not None:
            await self._writes.announce_event(event_id)
            return
        pending = Pending()
        pending.add_events("", [event_id])
        await make_deferred_yieldable(self._announcer.finish(pending))

    def _announce_all(self) -> None:
        if self._outbox is not None:
            run_in_background(self._writes.announce_all)
            return
        pending = Pending()
        pending.add_homeserver()
        self._announcer.finish(pending)

    def _start(self) -> None:
        if self._outbox is not None and self._pool_generation is not None:
            self._outbox.start()
            self._pool_generation.start()
        self._sidecar.start()
        if self._subscription is not None:
            self._subscription.start()

    def _stop(self) -> None:
        # What has been committed is announced first, as long as the process lives; what is left
        # then is relayed by the others.
        self._audit.stop()
        if self._subscription is not None:
            self._subscription.stop()
        if self._pool_generation is not None:
            self._pool_generation.stop()
        self._announcer.when_idle(self._end)

    def _end(self) -> None:
        if self._outbox is not None:
            self._outbox.stop()
        self._sidecar.stop()
