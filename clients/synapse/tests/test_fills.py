"""What is put, and what becomes of the room in the queue."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.task import Clock

from splitcache_client.fills import WAITING_MAX, Fills
from splitcache_client.gen import event_cache_service_pb2 as pb
from splitcache_synapse.metrics import BridgeMetrics
from tests.bridge import HOME, event, fills

AS_OF = pb.Position(epoch=b"e" * 16, sequence=1)


class _Transport:
    """Answers at once that all is stored."""

    immediate = False

    def __init__(self) -> None:
        self.put: list[str] = []

    def unary(self, name: str, request: Any, timeout_s: float, on_done: Callable[..., Any]) -> None:
        self.put += [one.event_id for one in request.events]
        stored = [pb.PUT_OUTCOME_STORED] * len(request.events)
        on_done(pb.PutEventsResponse(outcomes=stored, position=request.as_of))


def prepare(event_id: str) -> Callable[[], pb.CachedEvent]:
    def make() -> pb.CachedEvent:
        if event_id.startswith("$unmade"):
            raise ValueError("it cannot be encoded")
        return event(event_id)

    if event_id.startswith("$unprepared"):
        raise TypeError("it has another form")
    return make


@pytest.mark.parametrize("kind", ["$unprepared", "$unmade"])
def test_an_event_that_fails_is_left_out_and_takes_no_room(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    clock, transport = Clock(), _Transport()
    queue = Fills(
        transport=transport,  # type: ignore[arg-type]
        reactor=clock,
        homeserver=HOME,
        metrics=BridgeMetrics(HOME),
        prepare=prepare,
        monotonic=clock.seconds,
        observe=lambda position, sent_at: None,
        is_wanted=lambda epoch: True,
    )
    failed, done = fills("failed"), []
    for _ in range(3):
        queue.put(["$a", kind, "$b"], AS_OF, lambda: done.append(True))
        clock.advance(0)
    queue.put([kind], AS_OF, lambda: done.append(True))
    clock.advance(0)
    assert transport.put == ["$a", "$b"] * 3
    assert len(done) == 4
    assert fills("failed") == failed + 4
    # All of it is there again.
    assert queue._waiting_entries == 0
    assert len([one for one in caplog.records if one.levelno == logging.ERROR]) == 1
    dropped = fills("dropped")
    queue.put([f"${n}" for n in range(WAITING_MAX)], AS_OF)
    assert fills("dropped") == dropped
