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
from twisted.internet.defer import Deferred, TimeoutError

from splitcache_client.gen import event_cache_service_pb2 as pb
from splitcache_client.seldom import SeldomLog
from splitcache_synapse.database_reader import DatabaseReader
from splitcache_synapse.metrics import BridgeMetrics
from splitcache_synapse.sidecar import Sidecar

logger = logging.getLogger(__name__)

# Events that wait, by their IDs alone: some 100 bytes each, 255 at most. Beyond it they are left to
# the first read.
WAITING_MAX = 2_000
# Events that are read in one go. The next ones are read when these have been put, which bounds the
# bytes as well: an event's JSON has 64 KiB at most, three times that if escaped.
EVENTS_MAX = 50
# Far beyond what the requests of a full queue of fills may take.
PUT_TIMEOUT_S = 120.0


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
        self._failures = SeldomLog(logger)

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
                await self._read_back(self._next())
        finally:
            self._is_running = False

    def _next(self) -> list[_Stored]:
        """What waits, of one epoch, up to a bound."""
        first = self._waiting.popleft()
        if len(first.event_ids) > EVENTS_MAX:
            self._waiting.appendleft(_Stored(first.event_ids[EVENTS_MAX:], first.as_of))
            first = _Stored(first.event_ids[:EVENTS_MAX], first.as_of)
        batch, events = [first], len(first.event_ids)
        while self._waiting:
            more = self._waiting[0]
            if more.as_of.epoch != first.as_of.epoch:
                break
            events += len(more.event_ids)
            if events > EVENTS_MAX:
                break
            batch.append(self._waiting.popleft())
        self._waiting_events -= sum(len(one.event_ids) for one in batch)
        return batch

    async def _read_back(self, batch: list[_Stored]) -> None:
        event_ids = [event_id for one in batch for event_id in one.event_ids]
        # The oldest, which holds for all.
        as_of = min((one.as_of for one in batch), key=lambda position: position.sequence)
        if not self._sidecar.takes(as_of):
            self._metrics.stored("not_put", len(event_ids))
            return
        try:
            entries = await self._read(event_ids)
            done: Deferred[None] = Deferred()
            self._sidecar.put(list(entries.values()), as_of, lambda: done.callback(None))
        except Exception as error:
            await self._failed(batch, error)
            return
        self._metrics.stored("read_back", len(event_ids))
        if not done.called:
            done.addTimeout(PUT_TIMEOUT_S, self._reactor)
        try:
            await make_deferred_yieldable(done)
        except TimeoutError:
            logger.warning("splitcache: new events were not put within %d s", PUT_TIMEOUT_S)

    async def _failed(self, batch: list[_Stored], error: Exception) -> None:
        if len(batch) > 1:
            # One event that cannot be read must not cost those of other transactions.
            for one in batch:
                await self._read_back([one])
            return
        self._failures.log(logging.INFO, "splitcache: new events were not read back: %s", error)
        self._metrics.stored("failed", len(batch[0].event_ids))
