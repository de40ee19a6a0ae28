"""What a stream of lookups does when a sidecar does not answer on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc

from splitcache_synapse.gen import event_cache_service_pb2 as pb
from splitcache_synapse.read_stream import LookupFailed, ReadStream
from splitcache_synapse.transport import CHANNEL_OPTIONS
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
    yield stream, reactor
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
