"""Announces what this process changes, as Twisted code waits for it."""

from __future__ import annotations

from functools import partial

from twisted.internet.defer import Deferred

from splitcache_client import announcer
from splitcache_client.pending import Pending


class Announcer(announcer.Announcer):
    """Runs on the reactor's thread. Nothing it does raises."""

    def finish(self, pending: Pending) -> Deferred[None]:
        """As `announce`."""
        done: Deferred[None] = Deferred()
        self.announce(pending, partial(done.callback, None))
        return done
