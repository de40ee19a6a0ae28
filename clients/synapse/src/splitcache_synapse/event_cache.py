"""Synapse's own cache of events, with the calls that reach past it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from synapse.storage.databases.main.events_worker import EventCacheEntry
from synapse.util.caches.lrucache import AsyncLruCache

Key = tuple[str]


class SplitEventCache(AsyncLruCache[Key, EventCacheEntry]):
    """Keeps the local cache that is there; what empties it empties the sidecar's as well."""

    def __init__(
        self,
        replaced: AsyncLruCache[Key, EventCacheEntry],
        *,
        announce_event: Callable[[str], Awaitable[None]],
        announce_all: Callable[[], None],
        invalidated: Callable[[str | None], None],
        read_from_database: Callable[[str], None],
    ) -> None:
        """`invalidated` is called with each event (None: any) that anything drops from the local
        cache: a lookup under way must not bring back what it was before. `read_from_database` is
        called with each event that Synapse puts into the cache because it has read it."""
        # Not the constructor of the base class: it would make, and register, a second cache.
        self._lru_cache = replaced._lru_cache
        self._announce_event = announce_event
        self._announce_all = announce_all
        self._invalidated = invalidated
        self._read_from_database = read_from_database

    async def set(self, key: Key, value: EventCacheEntry) -> None:
        self._read_from_database(key[0])
        self._lru_cache.set(key, value)

    async def invalidate(self, key: Key) -> None:
        await self._announce_event(key[0])
        self.invalidate_local(key)

    def invalidate_local(self, key: Key) -> None:
        self._invalidated(key[0])
        self._lru_cache.invalidate(key)

    def invalidate_on_extra_index_local(self, index_key: Key) -> None:
        self._invalidated(None)
        self._lru_cache.invalidate_on_extra_index(index_key)

    def clear(self) -> None:
        self._announce_all()
        self.clear_local()

    def clear_local(self) -> None:
        self._invalidated(None)
        self._lru_cache.clear()


def replace_event_cache(store: Any, **announcements: Any) -> None:
    """Puts a SplitEventCache in the place of the store's cache."""
    store._get_event_cache = SplitEventCache(store._get_event_cache, **announcements)
