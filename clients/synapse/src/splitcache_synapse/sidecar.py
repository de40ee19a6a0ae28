"""The sidecar as Twisted code uses it."""

from __future__ import annotations

from collections.abc import Collection

from twisted.internet.defer import Deferred

from splitcache_client import sidecar
from splitcache_client.lookups import Lookup, OnMissed


class Sidecar(sidecar.Sidecar):
    """Runs on the reactor's thread. No method raises; no lookup fails."""

    def lookup(
        self, event_ids: Collection[str], on_missed: OnMissed | None = None
    ) -> Deferred[Lookup]:
        """As `ask`. The result may be cancelled."""
        result: Deferred[Lookup] = Deferred(lambda _: leave())
        leave = self.ask(event_ids, result.callback, on_missed)
        return result
