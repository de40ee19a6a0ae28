"""The sidecar, with what it serves audited: a share of it, or in shadow all of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from typing import Any

from synapse.storage.databases.main.events_worker import EventCacheEntry
from twisted.internet.defer import Deferred

from splitcache_client.gen import event_cache_service_pb2 as pb
from splitcache_client.lookups import Lookup
from splitcache_synapse.audit import Audit, Entries
from splitcache_synapse.comparison import Fields, fields
from splitcache_synapse.sidecar import Sidecar

logger = logging.getLogger(__name__)

# Hits in shadow that Synapse is reading from its database.
_SHADOWED_MAX = 10_000
# Of one lookup: it takes some 50 us an event in one go. The others are not compared.
_OF_A_LOOKUP_MAX = 1_000
# By then it has, or reads them no more: the event is not stored, say.
_READ_WITHIN_S = 10.0


class AuditedSidecar:
    """For readers, in the place of a Sidecar; all else is that one's."""

    def __init__(self, sidecar: Sidecar, audit: Audit) -> None:
        self._sidecar = sidecar
        self._audit = audit

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sidecar, name)

    def lookup(self, event_ids: Collection[str], *more: Any) -> Deferred[Lookup]:
        return self._sidecar.lookup(event_ids, *more).addCallback(self._looked_up)

    def _looked_up(self, lookup: Lookup) -> Lookup:
        if lookup.hits:
            _quietly(self._audit.hits, lookup.hits)
        return lookup


class ShadowedSidecar:
    """As AuditedSidecar. Readers receive misses for all events, and read the database; what they
    read is then compared with what would have been served, and only what was missing is put."""

    def __init__(
        self, sidecar: Sidecar, audit: Audit, reactor: Any, monotonic: Callable[[], float]
    ) -> None:
        self._sidecar = sidecar
        self._audit = audit
        self._reactor = reactor
        self._monotonic = monotonic
        # By event ID, the oldest first: what would have been served, and when. None: it is not
        # compared.
        self._shadowed: dict[str, tuple[Fields | None, float]] = {}
        self._is_sweeping = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sidecar, name)

    def lookup(self, event_ids: Collection[str], *more: Any) -> Deferred[Lookup]:
        return self._sidecar.lookup(event_ids, *more).addCallback(self._looked_up)

    def put(self, entries: Sequence[EventCacheEntry], as_of: pb.Position, *more: Any) -> None:
        missed = [one for one in entries if one.event.event_id not in self._shadowed]
        _quietly(self._compare, entries)
        self._sidecar.put(missed, as_of, *more)

    def _looked_up(self, lookup: Lookup) -> Lookup:
        if lookup.hits:
            _quietly(self._shadow, lookup.hits)
        return lookup._replace(hits={}, keep=frozenset())

    def _shadow(self, hits: Entries) -> None:
        now = self._monotonic()
        for number, (event_id, entry) in enumerate(hits.items()):
            self._leave_to_audit(event_id)
            is_compared = number < _OF_A_LOOKUP_MAX
            self._shadowed[event_id] = (fields(entry) if is_compared else None, now)
        while len(self._shadowed) > _SHADOWED_MAX:
            self._leave_to_audit(next(iter(self._shadowed)))
        self._sweep_later()

    def _compare(self, entries: Sequence[EventCacheEntry]) -> None:
        for entry in entries:
            event_id = entry.event.event_id
            if event_id not in self._shadowed:
                continue
            served, _ = self._shadowed.pop(event_id)
            if served is None:
                self._audit.drop()
            else:
                self._audit.compare(event_id, served, entry)

    def _leave_to_audit(self, event_id: str) -> None:
        """The reader has not shown what it has read: the audit reads by itself."""
        if event_id not in self._shadowed:
            return
        served, _ = self._shadowed.pop(event_id)
        if served is None:
            self._audit.drop()
        else:
            self._audit.add(event_id, served)

    def _sweep_later(self) -> None:
        if self._shadowed and not self._is_sweeping:
            self._is_sweeping = True
            self._reactor.callLater(_READ_WITHIN_S, self._sweep)

    def _sweep(self) -> None:
        self._is_sweeping = False
        before = self._monotonic() - _READ_WITHIN_S
        for event_id in [one for one, (_, at) in self._shadowed.items() if at <= before]:
            self._leave_to_audit(event_id)
        self._sweep_later()


def _quietly(call: Callable[..., None], *args: Any) -> None:
    """No fault of the audit is a reader's."""
    try:
        call(*args)
    except Exception:
        logger.exception("splitcache: reads were not audited")
