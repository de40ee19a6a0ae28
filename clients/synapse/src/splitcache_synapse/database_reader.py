"""Reads events from the database past every cache of Synapse, and into none."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from synapse.storage.databases.main.events_worker import EventCacheEntry


class DatabaseReader:
    """The event store as its own method sees it that reads the database, but for its caches: what
    that method keeps could outlive a change that is made while it reads, or take the place of new
    events that they have already."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self._get_event_cache = _NoCache()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @property
    def _event_ref(self) -> dict[str, Any]:
        return {}

    async def read(self, event_ids: Collection[str]) -> dict[str, EventCacheEntry]:
        # A redaction's target brings the redaction along.
        read = type(self._store)._get_events_from_db
        entries: dict[str, EventCacheEntry] = await read(self, event_ids)
        return entries


class _NoCache:
    async def set(self, key: tuple[str], value: EventCacheEntry) -> None:
        """Keeps nothing."""
