"""Reads a share of what the sidecar has served from the database as well, and compares the two.

In the background, on the reactor's thread. A difference counts once a second reading of both
confirms it, later than any change may be on its way: until then it may be one.
"""

from __future__ import annotations

import logging
import math
import random
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from synapse.logging.context import (  # type: ignore[attr-defined]
    LoggingContext,
    PreserveLoggingContext,
    make_deferred_yieldable,
)
from synapse.storage.databases.main.events_worker import EventCacheEntry
from twisted.internet.defer import Deferred

from splitcache_client.lookups import Lookup
from splitcache_client.seldom import SeldomLog
from splitcache_synapse.comparison import Fields, differing, fields
from splitcache_synapse.metrics import AuditMetrics

logger = logging.getLogger(__name__)

# Events that wait, some 10 kB each. Beyond it they are not audited.
WAITING_MAX = 1_000
# Events that are read in one go, and how long the database then has for others.
BATCH_MAX = 50
PAUSE_S = 0.2
# Beyond the bound of what is kept (6 s): by then the change is announced, or the gate is closed.
CONFIRM_AFTER_S = 10.0
# Second readings at a time: each reads the database twice, and asks the sidecar.
CONFIRMING_MAX = 5
# The second reading's share of the wait for one that is never answered.
LOOKUP_TIMEOUT_S = 5.0

Entries = Mapping[str, EventCacheEntry]


class _Case(NamedTuple):
    event_id: str
    # Of what the sidecar has served.
    served: Fields


class Audit:
    """Nothing it does raises. What it reads goes into no cache."""

    def __init__(
        self,
        *,
        share: float,
        read_database: Callable[[Collection[str]], Awaitable[Entries]],
        lookup: Callable[[Collection[str]], Deferred[Lookup]],
        reactor: Any,
        server_name: str,
        metrics: AuditMetrics,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        """`share`: of hits, 0 to 1. `uniform` gives a number of 0 to 1, less than 1."""
        self._share = share
        self._read_database = read_database
        self._lookup = lookup
        self._reactor = reactor
        self._server_name = server_name
        self._metrics = metrics
        self._uniform = uniform
        # Hits until the next one that is audited: drawn once an audit, not once a hit.
        self._skip = self._next_skip()
        self._waiting: deque[_Case] = deque()
        # Differences that are not confirmed yet; of them those whose time has come; and those that
        # are being read.
        self._confirming = 0
        self._due: deque[_Case] = deque()
        self._reading_again = 0
        # A sidecar that is wrong may be wrong in everything.
        self._differences = SeldomLog(logger, reactor.seconds)
        self._failures = SeldomLog(logger, reactor.seconds)
        self._is_running = False
        self._is_closed = False

    def stop(self) -> None:
        self._is_closed = True
        self._waiting.clear()
        self._due.clear()

    def hits(self, hits: Entries) -> None:
        """The sidecar has served these events. Those that are audited are taken down at once."""
        if self._skip >= len(hits):
            self._skip -= len(hits)
            return
        every = list(hits.items())
        at = self._skip
        while at < len(every):
            event_id, entry = every[at]
            if self.takes():
                self.add(event_id, fields(entry))
            else:
                self.drop()
            at += 1 + self._next_skip()
        self._skip = at - len(every)

    def takes(self) -> bool:
        """Whether there is room for one more."""
        return len(self._waiting) < WAITING_MAX and not self._is_closed

    def drop(self) -> None:
        """A hit that was to be compared is not."""
        self._metrics.audited("dropped")

    def add(self, event_id: str, served: Fields) -> None:
        """Has the event read from the database, and compared with this."""
        if not self.takes():
            self.drop()
            return
        self._waiting.append(_Case(event_id, served))
        self._begin_later()

    def compare(self, event_id: str, served: Fields, entry: EventCacheEntry | None) -> None:
        """The database was read for the event, after the sidecar has served this."""
        self._judge(_Case(event_id, served), fields(entry))

    def _next_skip(self) -> int:
        if self._share >= 1:
            return 0
        if self._share <= 0:
            return 1 << 62
        return int(math.log1p(-self._uniform()) / math.log1p(-self._share))

    def _begin_later(self) -> None:
        if self._waiting and not self._is_running and not self._is_closed:
            self._is_running = True
            self._reactor.callLater(PAUSE_S, self._begin)

    def _begin(self) -> None:
        if self._is_closed:
            return
        cases = [self._waiting.popleft() for _ in range(min(BATCH_MAX, len(self._waiting)))]
        self._in_background(self._read_once(cases))

    async def _read_once(self, cases: Sequence[_Case]) -> None:
        try:
            entries = await self._read_database({case.event_id for case in cases})
            for case in cases:
                self._judge(case, fields(entries.get(case.event_id)))
        except Exception as error:
            self._failed(cases, error)
        finally:
            self._is_running = False
            self._begin_later()

    def _judge(self, case: _Case, stored: Fields) -> None:
        if not differing(case.served, stored):
            self._metrics.audited("same")
        elif self._confirming >= WAITING_MAX or self._is_closed:
            self.drop()
        else:
            self._confirming += 1
            self._reactor.callLater(CONFIRM_AFTER_S, self._confirm, case)

    def _confirm(self, case: _Case) -> None:
        self._due.append(case)
        self._confirm_due()

    def _confirm_due(self) -> None:
        while self._due and self._reading_again < CONFIRMING_MAX and not self._is_closed:
            self._reading_again += 1
            self._in_background(self._confirm_one(self._due.popleft()))

    async def _confirm_one(self, case: _Case) -> None:
        await self._read_again(case)
        self._reading_again -= 1
        self._confirming -= 1
        if self._due:
            self._reactor.callLater(0, self._confirm_due)

    async def _read_again(self, case: _Case) -> None:
        event_ids = [case.event_id]
        try:
            before = fields((await self._read_database(event_ids)).get(case.event_id))
            looked_up = self._lookup(event_ids)
            if not looked_up.called:
                looked_up.addTimeout(LOOKUP_TIMEOUT_S, self._reactor)
            found = await make_deferred_yieldable(looked_up)
            served = fields(found.hits.get(case.event_id))
            stored = fields((await self._read_database(event_ids)).get(case.event_id))
        except Exception as error:
            self._failed([case], error)
            return
        names = differing(served, stored)
        # An answer from before a change that was made in between is not wrong.
        if differing(before, stored) or not names:
            self._metrics.audited("changed")
            return
        if not served:
            # The sidecar has it no more: what it has served may have been wrong all the same.
            self._metrics.audited("unconfirmed")
            return
        self._metrics.audited("different")
        self._differences.log(
            logging.ERROR,
            "splitcache: the sidecar's entry of %s is not what the database says; fields: %s",
            case.event_id,
            ", ".join(names),
        )

    def _failed(self, cases: Sequence[_Case], error: Exception) -> None:
        self._failures.log(
            logging.INFO, "splitcache: reads were not audited: %s", type(error).__name__
        )
        for _ in cases:
            self._metrics.audited("failed")

    def _in_background(self, work: Any) -> None:
        async def in_context() -> None:
            with LoggingContext(name="splitcache-audit", server_name=self._server_name):
                await work

        with PreserveLoggingContext():
            Deferred.fromCoroutine(in_context())
