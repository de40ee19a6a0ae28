"""Events read from the database on their way into the sidecar."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from splitcache.v1 import event_cache_service_pb2 as pb
from splitcache_synapse.metrics import BridgeMetrics
from splitcache_synapse.transport import Transport

# Limits of the contract: events and bytes a request, with room for the rest of the message.
EVENTS_MAX = 500
BYTES_MAX = 4 * 1024 * 1024 - 64 * 1024

# What waits here is in nobody's way; beyond it, events are left to the next read.
WAITING_BYTES_MAX = 8 * 1024 * 1024
IN_FLIGHT_MAX = 4
TIMEOUT_S = 1.0

_OUTCOMES = {
    value: name.removeprefix("PUT_OUTCOME_").lower() for name, value in pb.PutOutcome.items()
}


class Fills:
    """A bounded queue of PutEvents calls. A fill that fails is not tried again."""

    def __init__(
        self,
        transport: Transport,
        homeserver: str,
        metrics: BridgeMetrics,
        observe: Callable[[pb.Position, int], None],
        mark: Callable[[], int],
    ) -> None:
        self._transport = transport
        self._homeserver = homeserver
        self._metrics = metrics
        self._observe = observe
        self._mark = mark
        self._waiting: deque[tuple[pb.PutEventsRequest, int]] = deque()
        self._waiting_bytes = 0
        self._in_flight = 0

    def put(self, events: Sequence[pb.CachedEvent], as_of: pb.Position) -> None:
        for batch, size in _batches(events):
            if self._waiting_bytes + size > WAITING_BYTES_MAX:
                self._metrics.filled("dropped", len(batch))
                continue
            request = pb.PutEventsRequest(homeserver=self._homeserver, events=batch, as_of=as_of)
            self._waiting.append((request, size))
            self._waiting_bytes += size
        self._send()

    def _send(self) -> None:
        while self._waiting and self._in_flight < IN_FLIGHT_MAX:
            request, size = self._waiting.popleft()
            self._waiting_bytes -= size
            self._in_flight += 1
            on_done = partial(self._done, self._mark(), len(request.events))
            self._transport.unary("PutEvents", request, TIMEOUT_S, on_done)

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


def _batches(
    events: Sequence[pb.CachedEvent],
) -> Iterator[tuple[list[pb.CachedEvent], int]]:
    """Splits the events into requests within the limits; each comes with its bytes."""
    batch: list[pb.CachedEvent] = []
    size = 0
    for event in events:
        # A field's tag and length beside it.
        bytes_of_event = event.ByteSize() + 8
        if batch and (len(batch) == EVENTS_MAX or size + bytes_of_event > BYTES_MAX):
            yield batch, size
            batch, size = [], 0
        batch.append(event)
        size += bytes_of_event
    if batch:
        yield batch, size
