"""The way of a read: the sidecar between Synapse's own caches and its database."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from itertools import islice
from typing import Any, NamedTuple

from synapse.logging.context import make_deferred_yieldable
from synapse.storage.databases.main.events_worker import EventCacheEntry
from twisted.internet.defer import CancelledError, TimeoutError

from splitcache_client.gen import event_cache_service_pb2 as pb
from splitcache_client.lookups import Lookup
from splitcache_synapse.early_reads import EarlyReads
from splitcache_synapse.metrics import BridgeMetrics
from splitcache_synapse.sidecar import Sidecar

logger = logging.getLogger(__name__)

# Event IDs that are remembered, since what was read of them may be used at times only.
KEPT_MAX = 50_000
# What is kept of one lookup: keeping it costs some 10 us an event in one go, and Synapse's cache
# holds 10,000 by default.
KEPT_OF_A_LOOKUP_MAX = 2_000
FORGOTTEN_ONE_BY_ONE_MAX = 1_000
# Beyond the time that a lookup may take: what waits longer waits for nothing.
GRACE_S = 0.1


class _Missed(NamedTuple):
    """The lookup that missed last."""

    event_ids: frozenset[str]
    # From before which the database may be read for them.
    position: pb.Position | None
    # Of these the database has said already that it has them not.
    absent: frozenset[str]


class Reads:
    """Replaces the methods of Synapse's event store by which it reads events.

    Synapse calls its external cache once an event, queues a database read even when nothing is
    missing, and does not keep in memory what the external cache gave it.
    """

    def __init__(self, store: Any, sidecar: Sidecar, reactor: Any, metrics: BridgeMetrics) -> None:
        self._store = store
        self._sidecar = sidecar
        self._reactor = reactor
        self._metrics = metrics
        self._get_events_from_db = store._get_events_from_db
        self._missed: _Missed | None = None
        # What lookups have brought into Synapse's own caches.
        # The oldest first.
        self._kept: dict[str, None] = {}
        self._get_events_from_local_cache = store._get_events_from_local_cache
        store._get_events_from_local_cache = self._from_memory
        store._get_events_from_external_cache = self._from_sidecar
        store._get_events_from_db = self._from_database

    async def _from_memory(
        self, events: Iterable[str], update_metrics: bool = True
    ) -> dict[str, EventCacheEntry]:
        """Synapse's own caches, without what came from the sidecar while that must not be used."""
        found: dict[str, EventCacheEntry] = await self._get_events_from_local_cache(
            events, update_metrics=update_metrics
        )
        # Asked last: the reactor may have turned in between, and the process have been frozen.
        if self._kept and not self._sidecar.may_use_kept():
            found = {one: entry for one, entry in found.items() if one not in self._kept}
        return found

    def read_from_database(self, event_id: str) -> None:
        """Synapse keeps what it has read itself, in the place of what it had."""
        self._kept.pop(event_id, None)

    async def _from_sidecar(
        self, events: Collection[str], update_metrics: bool = True
    ) -> dict[str, EventCacheEntry]:
        self._missed = None
        if not events:
            return {}
        early = EarlyReads(self._read_and_fill)
        lookup = await self._lookup(events, early)
        # From here on nothing may be awaited: an invalidation that came in between would be
        # undone by keeping the entries.
        self._keep({one: lookup.hits[one] for one in lookup.keep})
        missing = frozenset(events).difference(lookup.hits)
        hits, entries = lookup.hits, {}
        if early.have_begun:
            held = self._sidecar.hold(lookup)
            try:
                entries = await early.finish(missing, lookup.position)
            finally:
                hits = held.release()
        # Nor from here on: another lookup would replace what missed. What may no longer be used
        # is read from the database as well.
        missing = frozenset(events).difference(hits)
        self._missed = _Missed(missing, lookup.position, early.asked.difference(entries))
        return {**hits, **entries}

    async def _lookup(self, events: Collection[str], early: EarlyReads) -> Lookup:
        """A lookup with a deadline of its own: no fault on the way to the sidecar may keep a
        reader waiting. The deadlines of the requests lie within it."""
        try:
            lookup = self._sidecar.lookup(events, early.add)
            if not lookup.called:
                lookup.addTimeout(self._sidecar.patience_s(events) + GRACE_S, self._reactor)
            return await make_deferred_yieldable(lookup)
        except CancelledError:
            raise
        except TimeoutError:
            self._metrics.error("stuck")
            logger.error("splitcache: a lookup was never answered; the database is read instead")
        except Exception:
            logger.exception("The sidecar was not read")
        return Lookup({}, frozenset(), None)

    def forget(self) -> None:
        """Drops from Synapse's own caches what lookups have brought."""
        if len(self._kept) <= FORGOTTEN_ONE_BY_ONE_MAX:
            for event_id in self._kept:
                self._store._invalidate_local_get_event_cache(event_id)
            self._kept.clear()
        else:
            # All at once, with what came from the database: it takes a tenth of the time.
            self.forget_all()

    def forget_all(self) -> None:
        """Drops all events from Synapse's own caches."""
        self._store._get_event_cache.clear_local()
        self._store._event_ref.clear()
        self._store._current_event_fetches.clear()
        self._kept.clear()

    def _keep(self, entries: dict[str, EventCacheEntry]) -> None:
        for event_id, entry in islice(entries.items(), KEPT_OF_A_LOOKUP_MAX):
            self._kept[event_id] = None
            self._store._get_event_cache.set_local((event_id,), entry)
            if entry.redacted_event is None:
                self._store._event_ref[event_id] = entry.event
        while len(self._kept) > KEPT_MAX:
            oldest = next(iter(self._kept))
            del self._kept[oldest]
            self._store._invalidate_local_get_event_cache(oldest)

    async def _from_database(self, event_ids: Collection[str]) -> dict[str, EventCacheEntry]:
        # Synapse asks for what missed in the same turn of the reactor. Whoever else calls this
        # has asked for no position, and fills nothing.
        missed, self._missed = self._missed, None
        if missed is None or not missed.event_ids.issuperset(event_ids):
            missed = None
        else:
            event_ids = missed.event_ids.intersection(event_ids) - missed.absent
        if not event_ids:
            return {}
        if missed is None or missed.position is None:
            entries: dict[str, EventCacheEntry] = await self._get_events_from_db(event_ids)
            return entries
        return await self._read_and_fill(event_ids, missed.position)

    async def _read_and_fill(
        self, event_ids: Collection[str], position: pb.Position
    ) -> dict[str, EventCacheEntry]:
        entries: dict[str, EventCacheEntry] = await self._get_events_from_db(event_ids)
        # The redactions that were read along came from later snapshots, for which the position
        # holds as well.
        try:
            self._sidecar.put(list(entries.values()), position)
        except Exception:
            logger.exception("Events read from the database were not put into the sidecar")
        return entries


class LocalCaches:
    """Drops from Synapse's own caches what a change has outdated, whoever made it."""

    def __init__(self, store: Any, reads: Reads) -> None:
        self._store = store
        self._reads = reads

    def event(self, event_id: str) -> None:
        self._store._invalidate_local_get_event_cache(event_id)

    def room(self, room_id: str) -> None:
        self._store._invalidate_local_get_event_cache_room_id(room_id)

    def everything(self) -> None:
        self._reads.forget_all()

    def kept(self) -> None:
        self._reads.forget()
