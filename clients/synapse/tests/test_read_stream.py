"""What a stream of lookups does when a sidecar does not answer on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import grpc
import pytest

from splitcache_client.gen import event_cache_service_pb2 as pb
from splitcache_client.read_stream import FIRST_PAUSE_S, LookupFailed, ReadStream
from splitcache_client.transport import CHANNEL_OPTIONS
from tests.loop_reactor import LoopReactor


@contextmanager
def read_stream(
    answer: Callable[[Iterator[Any], Any], Iterator[Any]], heard: Callable[[], None]
) -> Iterator[tuple[ReadStream, LoopReactor]]:
    """A stream to a server that answers so."""
    server = grpc.server(ThreadPoolExecutor(4))
    handler = grpc.stream_stream_rpc_method_handler(
        answer,
        request_deserializer=pb.GetEventsStreamRequest.FromString,
        response_serializer=pb.GetEventsStreamResponse.SerializeToString,
    )
    service = "splitcache.v1.EventCacheService"
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service, {"GetEventsStream": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=CHANNEL_OPTIONS)
    reactor = LoopReactor()
    stream = ReadStream(channel, reactor, heard)
    try:
        yield stream, reactor
    finally:
        stream.close()
        channel.close()
        server.stop(None).wait(5)


def reply_to(request: Any) -> pb.GetEventsStreamResponse:
    return pb.GetEventsStreamResponse(
        request_id=request.request_id, response=pb.GetEventsResponse()
    )


def test_a_stream_that_is_stuck_is_opened_anew() -> None:
    opened: list[int] = []
    heard: list[int] = []

    def answer(requests: Iterator[Any], context: Any) -> Iterator[Any]:
        opened.append(1)
        is_stuck = len(opened) == 1
        for request in requests:
            if not is_stuck:
                yield reply_to(request)

    with read_stream(answer, lambda: heard.append(1)) as (stream, reactor):

        def look() -> Any:
            outcomes: list[Any] = []
            stream.lookup(pb.GetEventsRequest(), 0.1, outcomes.append)
            reactor.run_until(lambda: bool(outcomes))
            return outcomes[0]

        first = look()
        assert isinstance(first, LookupFailed)
        assert first.is_unavailable
        reactor.run_until(lambda: isinstance(look(), pb.GetEventsResponse))
        assert len(opened) == 2
        assert heard


def test_whoever_waits_is_answered_beside_one_whose_answer_cannot_be_used() -> None:
    def answer(requests: Iterator[Any], context: Any) -> Iterator[Any]:
        # Both in one go.
        both = [next(requests), next(requests)]
        yield from map(reply_to, both)

    def broken(outcome: Any) -> None:
        raise ValueError(outcome)

    with read_stream(answer, lambda: None) as (stream, reactor):
        answered: list[Any] = []
        for on_done in (broken, answered.append):
            stream.lookup(pb.GetEventsRequest(), 5.0, on_done)
        reactor.run_until(lambda: bool(answered))
        assert isinstance(answered[0], pb.GetEventsResponse)


def denied_in_a_reply(requests: Iterator[Any], code: grpc.StatusCode) -> Iterator[Any]:
    """The stream stays open."""
    for request in requests:
        failure = pb.RequestFailure(code=code.value[0])
        yield pb.GetEventsStreamResponse(request_id=request.request_id, failure=failure)


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize(
    "code", [grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED]
)
def test_a_stream_whose_credentials_are_denied_is_opened_again_ever_more_seldom(
    ends: bool, code: grpc.StatusCode, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether the sidecar ends the stream or fails the requests on it."""
    opened: list[float] = []

    def answer(requests: Iterator[Any], context: Any) -> Iterator[Any]:
        opened.append(time.monotonic())
        if len(opened) > 4:
            yield from map(reply_to, requests)
        elif ends:
            next(requests)
            context.abort(code, "not you")
        else:
            yield from denied_in_a_reply(requests, code)

    kinds: list[Any] = []

    with read_stream(answer, lambda: None) as (stream, reactor):

        def look() -> Any:
            outcomes: list[Any] = []
            stream.lookup(pb.GetEventsRequest(), 5.0, outcomes.append)
            reactor.run_until(lambda: bool(outcomes))
            if isinstance(outcomes[0], LookupFailed):
                kinds.append(outcomes[0].args[0])
            return outcomes[0]

        reactor.run_until(lambda: isinstance(look(), pb.GetEventsResponse))
    pauses = [after - before for before, after in pairwise(opened)]
    assert len(pauses) == 4
    assert all(pause >= FIRST_PAUSE_S * 2**place for place, pause in enumerate(pauses))
    assert kinds.count("denied") == 4
    assert set(kinds) == {"denied", "disconnected"}
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_what_else_waits_on_a_denied_stream_is_answered_at_once() -> None:
    def answer(requests: Iterator[Any], context: Any) -> Iterator[Any]:
        both = [next(requests), next(requests)]
        yield from denied_in_a_reply(iter(both[:1]), grpc.StatusCode.PERMISSION_DENIED)
        yield from map(reply_to, requests)

    with read_stream(answer, lambda: None) as (stream, reactor):
        outcomes: list[Any] = []
        for _ in range(2):
            stream.lookup(pb.GetEventsRequest(), 600.0, outcomes.append)
        reactor.run_until(lambda: len(outcomes) == 2)
        assert [outcome.args for outcome in outcomes] == [("denied",), ("denied",)]
