"""Events read from the database on their way into the sidecar."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from splitcache_client.gen import event_cache_service_pb2 as pb
from splitcache_client.metrics import ClientMetrics
from splitcache_client.seldom import SeldomLog
from splitcache_client.transport import Transport

logger = logging.getLogger(__name__)

# Below the contract's limits (500 events, 4 MiB), since a request is encoded in one go and the
# loop should turn in between.
EVENTS_MAX = 100
# A request that has reached this many bytes is sent; the largest event has some 300 kB.
FULL_BYTES = 1024 * 1024

# Entries that wait: some 5 kB each, rarely more, and whoever read them holds the events as well.
# The state of a large room fits.
# Beyond it, they are left to the next read.
WAITING_MAX = 6_000
IN_FLIGHT_MAX = 2
TIMEOUT_S = 1.0

_OUTCOMES = {
    value: name.removeprefix("PUT_OUTCOME_").lower() for name, value in pb.PutOutcome.items()
}


Make = Callable[[], pb.CachedEvent | None]
Prepare = Callable[[Any], Make]


class _Fill(NamedTuple):
    """What one read has brought, the last first."""

    entries: list[Make]
    as_of: pb.Position
    on_done: Callable[[], None]


class Fills:
    """A bounded queue of what is to be put. A fill that fails is not tried again."""

    def __init__(
        self,
        *,
        transport: Transport,
        reactor: Any,
        homeserver: str,
        metrics: ClientMetrics,
        prepare: Prepare,
        monotonic: Callable[[], float],
        observe: Callable[[pb.Position, float], None],
        is_wanted: Callable[[bytes], bool],
    ) -> None:
        """`observe` is given the position of a reply and when its request was sent. `is_wanted`
        says whether what was read with a position of an epoch may be put now."""
        self._transport = transport
        self._reactor = reactor
        self._homeserver = homeserver
        self._metrics = metrics
        self._prepare = prepare
        self._monotonic = monotonic
        self._observe = observe
        self._is_wanted = is_wanted
        self._waiting: deque[_Fill] = deque()
        self._waiting_entries = 0
        self._in_flight = 0
        self._failures = SeldomLog(logger, monotonic)
        # Whether a turn of the loop is booked for the next request.
        self._booked = False

    def put(
        self,
        entries: Sequence[Any],
        as_of: pb.Position,
        on_done: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_done` is called once, when its last request has been answered, or was not made."""
        if not self._is_wanted(as_of.epoch):
            on_done()
            return
        taken = entries[: WAITING_MAX - self._waiting_entries]
        if len(entries) > len(taken):
            self._metrics.filled("dropped", len(entries) - len(taken))
        made = self._prepared(taken)
        if made:
            self._waiting_entries += len(made)
            self._waiting.append(_Fill(made, as_of, on_done))
            self._book()
        else:
            on_done()

    def _prepared(self, entries: Sequence[Any]) -> list[Make]:
        """The last first. What cannot be prepared is left out."""
        made = []
        for entry in reversed(entries):
            try:
                made.append(self._prepare(entry))
            except Exception:
                self._not_made()
        return made

    def _book(self) -> None:
        # Not in the way of the reader who brought it.
        if self._booked or not self._waiting or self._in_flight >= IN_FLIGHT_MAX:
            return
        self._booked = True
        if self._transport.immediate:
            self._send()
        else:
            self._reactor.callLater(0, self._send)

    def _send(self) -> None:
        self._booked = False
        while self._waiting and not self._is_wanted(self._waiting[0].as_of.epoch):
            unwanted = self._waiting.popleft()
            self._waiting_entries -= len(unwanted.entries)
            unwanted.on_done()
        if self._waiting:
            self._send_some_of(self._waiting[0])
        self._book()

    def _send_some_of(self, fill: _Fill) -> None:
        request = self._next_request(fill)
        is_last = not fill.entries
        if is_last:
            self._waiting.popleft()
        if request.events:
            self._in_flight += 1
            on_done = fill.on_done if is_last else lambda: None
            done = partial(self._done, self._monotonic(), len(request.events), on_done)
            self._transport.unary("PutEvents", request, TIMEOUT_S, done)
        elif is_last:
            fill.on_done()

    def _next_request(self, fill: _Fill) -> pb.PutEventsRequest:
        request = pb.PutEventsRequest(homeserver=self._homeserver, as_of=fill.as_of)
        size = 0
        while fill.entries and len(request.events) < EVENTS_MAX and size < FULL_BYTES:
            self._waiting_entries -= 1
            cached = self._made(fill.entries.pop())
            if cached is not None:
                request.events.append(cached)
                size += cached.ByteSize()
        return request

    def _made(self, make: Make) -> pb.CachedEvent | None:
        try:
            return make()
        except Exception:
            self._not_made()
            return None

    def _not_made(self) -> None:
        """In an `except` block."""
        self._metrics.filled("failed")
        self._failures.log(
            logging.ERROR, "splitcache: an event was not put into the sidecar", exc_info=True
        )

    def _done(self, sent_at: float, events: int, on_done: Callable[[], None], reply: Any) -> None:
        self._in_flight -= 1
        if isinstance(reply, Exception):
            self._metrics.error("put")
            self._metrics.filled("failed", events)
        else:
            self._observe(reply.position, sent_at)
            for outcome in reply.outcomes:
                self._metrics.filled(_OUTCOMES.get(outcome, "unknown"))
        on_done()
        self._book()
