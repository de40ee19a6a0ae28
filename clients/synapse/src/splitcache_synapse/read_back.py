"""New events on their way into the sidecar: what this process has stored, it reads back and puts.

What an event looks like in memory when it is stored is not in every field what the database will
say of it. So it is read, as a reader would, and put, as a fill is.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from synapse.logging.context import make_deferred_yieldable
from twisted.internet.defer import Deferred

from splitcache_synapse.database_reader import DatabaseReader
from splitcache_synapse.gen import event_cache_service_pb2 as pb
from splitcache_synapse.metrics import BridgeMetrics
from splitcache_synapse.sidecar import Sidecar

logger = logging.getLogger(__name__)

# Events that wait, by their IDs alone: some 100 bytes each, 255 at most. Beyond it they are left to
# the first read.
WAITING_MAX = 2_000
# Events that are read in one go. The next ones are read when these have been put, which bounds the
# bytes as well: an event's JSON has 64 KiB at most, three times that if escaped.
EVENTS_MAX = 50


class _Stored(NamedTuple):
    """What one transaction has stored."""

    event_ids: Sequence[str]
    # From before the transaction.
    as_of: pb.Position


class ReadBack:
    """Runs on the reactor's thread, in the background. Raises nothing, and nobody waits for it.

    A change of the same events that is announced after the position that was taken before the
    transaction, by whomever, fences what is put: also a change that the transaction itself makes.
    """

    def __init__(
        self,
        store: Any,
        sidecar: Sidecar,
        reactor: Any,
        metrics: BridgeMetrics,
        run_in_background: Callable[[str, Callable[[], Awaitable[None]]], object],
    ) -> None:
        self._read = DatabaseReader(store).read
        self._sidecar = sidecar
        self._reactor = reactor
        self._metrics = metrics
        self._run_in_background = run_in_background
        self._waiting: deque[_Stored] = deque()
        self._waiting_events = 0
        self._is_running = False

    def stored(self, event_ids: Sequence[str], as_of: pb.Position | None) -> None:
        """COMMIT has been answered. `as_of` is a position that was known before the transaction
        began; without one nothing is put."""
        if as_of is None:
            self._metrics.stored("not_put", len(event_ids))
            return
        taken = event_ids[: WAITING_MAX - self._waiting_events]
        if len(taken) < len(event_ids):
            self._metrics.stored("dropped", len(event_ids) - len(taken))
        if not taken:
            return
        self._waiting.append(_Stored(taken, as_of))
        self._waiting_events += len(taken)
        if not self._is_running:
            self._is_running = True
            # Not in the way of the transaction's caller.
            self._reactor.callLater(0, self._run_in_background, "splitcache_read_back", self._run)

    async def _run(self) -> None:
        try:
            while self._waiting:
                event_ids, as_of = self._next()
                await self._read_back(event_ids, as_of)
        finally:
            self._is_running = False

    def _next(self) -> tuple[list[str], pb.Position]:
        """What waits, of one epoch, up to a bound; and the oldest of its positions."""
        event_ids, as_of = list(self._waiting[0].event_ids), self._waiting.popleft().as_of
        if len(event_ids) > EVENTS_MAX:
            self._waiting.appendleft(_Stored(event_ids[EVENTS_MAX:], as_of))
            del event_ids[EVENTS_MAX:]
        while self._waiting:
            more = self._waiting[0]
            if more.as_of.epoch != as_of.epoch:
                break
            if len(event_ids) + len(more.event_ids) > EVENTS_MAX:
                break
            self._waiting.popleft()
            event_ids += more.event_ids
            as_of = min(as_of, more.as_of, key=lambda position: position.sequence)
        self._waiting_events -= len(event_ids)
        return event_ids, as_of

    async def _read_back(self, event_ids: list[str], as_of: pb.Position) -> None:
        if not self._sidecar.takes(as_of):
            self._metrics.stored("not_put", len(event_ids))
            return
        try:
            entries = await self._read(event_ids)
            done: Deferred[None] = Deferred()
            self._sidecar.put(list(entries.values()), as_of, lambda: done.callback(None))
        except Exception as error:
            logger.info("splitcache: new events were not read back: %s", error)
            self._metrics.stored("failed", len(event_ids))
            return
        self._metrics.stored("read_back", len(event_ids))
        await make_deferred_yieldable(done)
