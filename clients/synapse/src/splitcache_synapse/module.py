"""The module that homeserver.yaml names: puts the parts together."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

import synapse
from synapse.logging.context import make_deferred_yieldable
from synapse.module_api import ModuleApi

from splitcache_synapse.announcer import Announcer
from splitcache_synapse.config import BridgeConfig, parse_config
from splitcache_synapse.event_cache import replace_event_cache
from splitcache_synapse.metrics import BridgeMetrics
from splitcache_synapse.reads import Reads
from splitcache_synapse.sidecar import Sidecar
from splitcache_synapse.stored_event import from_cached, prepare
from splitcache_synapse.supported import require_supported
from splitcache_synapse.transport import BlockingTransport, GrpcTransport
from splitcache_synapse.writers import writer_names
from splitcache_synapse.writes import Writes

logger = logging.getLogger(__name__)


class SplitcacheModule:
    """Lets this process of Synapse read events from a splitcache sidecar.

    Raises UnsupportedSynapse beside a release of Synapse that it does not know.
    """

    def __init__(self, config: BridgeConfig, api: ModuleApi) -> None:
        require_supported(synapse.__version__)
        # Modules have no other way to the storage layer.
        hs = api._hs
        reactor = hs.get_reactor()
        homeserver = config.homeserver or hs.hostname
        instance = hs.get_instance_name()
        # Leases run in real time, which the fake reactor of Synapse's own tests does not follow.
        writers = () if config.transport == "blocking" else writer_names(hs, config.extra_writers)
        metrics = BridgeMetrics(hs.hostname)
        make_transport = BlockingTransport if config.transport == "blocking" else GrpcTransport
        transport = make_transport(config.address, reactor)
        self._announcer: Announcer
        self._sidecar = Sidecar(
            transport=transport,
            reactor=reactor,
            monotonic=time.monotonic,
            homeserver=homeserver,
            writers=writers,
            read_deadline_s=config.read_deadline_ms / 1000,
            metrics=metrics,
            may_read=lambda: self._announcer.may_read,
            prepare=prepare,
            decode=from_cached,
            forget=self._forget,
        )
        self._announcer = Announcer(
            transport=transport,
            reactor=reactor,
            monotonic=time.monotonic,
            homeserver=homeserver,
            writer=instance if instance in writers else None,
            observe=self._sidecar.observe,
            mark=lambda: self._sidecar.mark,
            metrics=metrics,
            start_delay_s=config.writer_start_delay_ms / 1000,
        )
        datastores = hs.get_datastores()
        self._patch(datastores.main, datastores.persist_events, reactor, metrics)
        # Not before the reactor runs: Synapse forks when it is a daemon, and gRPC's threads
        # would stay behind.
        if transport.immediate:
            self._start()
        else:
            reactor.callWhenRunning(self._start)
        hs.register_sync_shutdown_handler(
            phase="before", eventType="shutdown", shutdown_func=self._stop
        )
        logger.info(
            "splitcache: reads events of %s at %s; writers: %s",
            homeserver,
            config.address,
            ", ".join(writers),
        )

    @staticmethod
    def parse_config(config: Mapping[str, Any] | None) -> BridgeConfig:
        """Called by Synapse with the `config` of the `modules` entry."""
        return parse_config(config)

    def _patch(
        self, store: Any, persist_events: Any | None, reactor: Any, metrics: BridgeMetrics
    ) -> None:
        replace_event_cache(
            store,
            announce_event=self._announce_event,
            announce_all=self._announce_all,
            invalidated=self._sidecar.invalidated,
        )
        Writes(store, persist_events, self._announcer)
        self._reads = Reads(store, self._sidecar, reactor, metrics)

    def _forget(self) -> None:
        self._reads.forget()

    async def _announce_event(self, event_id: str) -> None:
        pending = self._announcer.begin()
        pending.add_events("", [event_id])
        await make_deferred_yieldable(self._announcer.finish(pending))

    def _announce_all(self) -> None:
        pending = self._announcer.begin()
        pending.add_homeserver()
        self._announcer.finish(pending)

    def _start(self) -> None:
        self._sidecar.start()
        self._announcer.start()

    def _stop(self) -> None:
        # What has been committed is announced first, as long as the process lives.
        self._announcer.stop(self._sidecar.stop)
