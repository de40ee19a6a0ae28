"""Events read from the database on their way into the sidecar."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from splitcache.v1 import event_cache_service_pb2 as pb
from splitcache_synapse.metrics import BridgeMetrics
from splitcache_synapse.transport import Transport

logger = logging.getLogger(__name__)

# Below the contract's limits (500 events, 4 MiB), since a request is encoded in one go and the
# reactor should turn in between.
EVENTS_MAX = 200
# A request that has reached this many bytes is sent; the largest event has some 300 kB.
FULL_BYTES = 1024 * 1024

# Entries that wait, as many as Synapse's own cache holds by default; beyond it, they are left to
# the next read.
WAITING_MAX = 10_000
IN_FLIGHT_MAX = 2
TIMEOUT_S = 1.0

_OUTCOMES = {
    value: name.removeprefix("PUT_OUTCOME_").lower() for name, value in pb.PutOutcome.items()
}


Encode = Callable[[Any], pb.CachedEvent | None]


class _Fill(NamedTuple):
    """What one read has brought, the last first."""

    entries: list[Any]
    as_of: pb.Position


class Fills:
    """A bounded queue of what is to be put. A fill that fails is not tried again.

    Entries are encoded as they are sent, not when they come: by then a reader may have been given
    them, and may have added to their `unsigned` what get_events adds, which is not encoded.
    """

    def __init__(
        self,
        transport: Transport,
        homeserver: str,
        metrics: BridgeMetrics,
        encode: Encode,
        observe: Callable[[pb.Position, int], None],
        mark: Callable[[], int],
    ) -> None:
        self._transport = transport
        self._homeserver = homeserver
        self._metrics = metrics
        self._encode = encode
        self._observe = observe
        self._mark = mark
        self._waiting: deque[_Fill] = deque()
        self._waiting_entries = 0
        self._in_flight = 0
        self._sending = False

    def put(self, entries: Sequence[Any], as_of: pb.Position) -> None:
        room = WAITING_MAX - self._waiting_entries
        if len(entries) > room:
            self._metrics.filled("dropped", len(entries) - room)
        taken = list(entries[:room])
        if taken:
            self._waiting_entries += len(taken)
            taken.reverse()
            self._waiting.append(_Fill(taken, as_of))
            self._send()

    def _send(self) -> None:
        # A transport that is immediate calls back before it returns.
        if self._sending:
            return
        self._sending = True
        while self._waiting and self._in_flight < IN_FLIGHT_MAX:
            request = self._next_request()
            if request.events:
                self._in_flight += 1
                on_done = partial(self._done, self._mark(), len(request.events))
                self._transport.unary("PutEvents", request, TIMEOUT_S, on_done)
        self._sending = False

    def _next_request(self) -> pb.PutEventsRequest:
        entries, as_of = self._waiting[0]
        request = pb.PutEventsRequest(homeserver=self._homeserver, as_of=as_of)
        size = 0
        while entries and len(request.events) < EVENTS_MAX and size < FULL_BYTES:
            self._waiting_entries -= 1
            cached = self._encoded(entries.pop())
            if cached is not None:
                request.events.append(cached)
                size += cached.ByteSize()
        if not entries:
            self._waiting.popleft()
        return request

    def _encoded(self, entry: Any) -> pb.CachedEvent | None:
        try:
            return self._encode(entry)
        except Exception:
            logger.exception("splitcache: an event was not put into the sidecar")
            return None

    def _done(self, mark: int, events: int, reply: Any) -> None:
        self._in_flight -= 1
        if isinstance(reply, Exception):
            self._metrics.error("put")
            self._metrics.filled("failed", events)
        else:
            self._observe(reply.position, mark)
            for outcome in reply.outcomes:
                self._metrics.filled(_OUTCOMES.get(outcome, "unknown"))
        self._send()
