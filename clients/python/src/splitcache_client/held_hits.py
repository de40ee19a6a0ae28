"""Hits of a lookup, while its reader waits for the database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from splitcache_client.lookups import Lookup, Permits


class HeldHits:
    """The wait may be of any length, so the hits are judged by their age a second time after it
    (O6), without those that were invalidated meanwhile."""

    def __init__(
        self, lookup: Lookup, may_use: Permits, on_release: Callable[[HeldHits], None]
    ) -> None:
        self._hits = dict(lookup.hits)
        self._origins = lookup.origins
        self._may_use = may_use
        self._on_release = on_release

    def invalidated(self, event_id: str | None) -> None:
        """As of a lookup that is under way."""
        if event_id is None:
            self._hits.clear()
        else:
            self._hits.pop(event_id, None)

    def release(self) -> dict[str, Any]:
        """The hits that may be used now."""
        self._on_release(self)
        # Few requests brought them: each is judged once.
        origins = {self._origins[event_id] for event_id in self._hits}
        usable = {origin for origin in origins if self._may_use(*origin)}
        return {
            event_id: entry
            for event_id, entry in self._hits.items()
            if self._origins[event_id] in usable
        }
