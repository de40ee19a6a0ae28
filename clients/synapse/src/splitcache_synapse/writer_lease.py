"""The writer's side of its lease: when it announces, when it renews, when it may read.

The rules are those of the contract, checked exhaustively with the protocol. Three states:

- joining: it has asked for a lease, or is about to, and has none. What it changes is announced.
- attached: it holds a lease. What it changes is announced.
- detached: an announcement failed for two lease times after its COMMIT. By then the lease has
  lapsed and nothing old is served: what it changes is not announced, and waits for nobody.

A process begins by joining, and leaves no lease behind in good order when it stops: its lease
lapses. A lease that was released would let the next process commit and die before its own lease
is granted, and nobody would know of that change.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple

from splitcache_synapse.pending import Pending

DEFAULT_LEASE_S = 5.0

JOINING, ATTACHED, DETACHED = "joining", "attached", "detached"


class Renewal(NamedTuple):
    """A renewal that was sent."""

    token: bytes
    sent_at: float
    # Which asking it belongs to; a reply to an earlier one is ignored.
    generation: int


class WriterLease:
    """Pure but for its lock: sends nothing, reads no clock but the one it is given."""

    def __init__(self, monotonic: Callable[[], float], start_delay_s: float) -> None:
        self._monotonic = monotonic
        # Until then a transaction of the process that this one follows may still commit.
        self._first_renewal_at = monotonic() + start_delay_s
        self._lock = threading.Lock()
        self._open: set[Pending] = set()
        self._token = b""
        # The earliest moment at which the token can have been issued: its request was sent then.
        self._issued_at = 0.0
        self._lease_until = 0.0
        self._generation = 0
        self.state = JOINING
        self.lease_s = DEFAULT_LEASE_S

    def begin(self) -> Pending:
        """A transaction is about to change something. In any thread."""
        with self._lock:
            pending = Pending(announces=self.state != DETACHED)
            self._open.add(pending)
            return pending

    def committing(self, pending: Pending) -> None:
        """The change is pending from now on: its COMMIT is about to be sent. In any thread."""
        with self._lock:
            if pending.committing_at is None:
                pending.committing_at = self._monotonic()

    def end(self, pending: Pending) -> None:
        """The change is announced, given up, or was never to be announced and has ended."""
        with self._lock:
            self._open.discard(pending)

    def pending_changes(self) -> int:
        with self._lock:
            return sum(1 for one in self._open if one.announces)

    def given_up(self, pending: Pending) -> bool:
        """Whether two lease times have passed since COMMIT's reply."""
        committed_at = pending.committed_at
        return committed_at is not None and self._monotonic() - committed_at >= 2 * self.lease_s

    def detach(self) -> None:
        """An announcement was given up: forgets the lease, and whatever is still said of it."""
        with self._lock:
            self.state = DETACHED
            self._token = b""
            self._lease_until = 0.0
            self._generation += 1

    def may_renew(self) -> bool:
        """Whether a renewal may be sent now; of a detached writer, whether it may ask again."""
        with self._lock:
            return self._may_renew()

    def _may_renew(self) -> bool:
        now = self._monotonic()
        return now >= self._first_renewal_at and all(
            one.announces and not self._is_late(one, now) for one in self._open
        )

    def _is_late(self, pending: Pending, now: float) -> bool:
        since = pending.committing_at
        return since is not None and now - since >= self.lease_s / 2

    def ask(self) -> Renewal | None:
        """A renewal is sent now, if it may be: a transaction may have begun since that was asked.
        From here on what changes is announced, whatever its reply."""
        with self._lock:
            if not self._may_renew():
                return None
            if self.state == DETACHED:
                self.state = JOINING
            return Renewal(self._token, self._monotonic(), self._generation)

    def granted(self, renewal: Renewal, token: bytes, lease_s: float) -> None:
        """The reply to a renewal. The lease runs from the issue of the token that it carried; a
        first one from the making of the reply, which came after the renewal was sent."""
        with self._lock:
            if renewal.generation != self._generation:
                return
            issued_at = self._issued_at if renewal.token else renewal.sent_at
            self.lease_s = lease_s
            self._lease_until = issued_at + lease_s
            self._token = token
            self._issued_at = renewal.sent_at
            self.state = ATTACHED

    @property
    def may_read(self) -> bool:
        """Whether this process may use what it reads from the cache."""
        return self.state == ATTACHED and self._monotonic() < self._lease_until
