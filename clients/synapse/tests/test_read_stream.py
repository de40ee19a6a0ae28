"""What a stream of lookups does when a sidecar does not answer on it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from splitcache.v1 import event_cache_service_pb2 as pb
from splitcache_synapse.read_stream import LookupFailed, ReadStream
from tests.loop_reactor import LoopReactor


def test_a_stream_that_is_stuck_is_opened_anew() -> None:
    opened: list[int] = []

    def answer(requests: Iterator[Any], context: Any) -> Iterator[Any]:
        opened.append(1)
        is_stuck = len(opened) == 1
        for request in requests:
            if not is_stuck:
                yield pb.GetEventsStreamResponse(
                    request_id=request.request_id, response=pb.GetEventsResponse()
                )

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
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    reactor = LoopReactor()
    heard: list[int] = []
    stream = ReadStream(channel, reactor, lambda: heard.append(1))

    def look() -> Any:
        outcomes: list[Any] = []
        stream.lookup(pb.GetEventsRequest(), 0.1, outcomes.append)
        reactor.run_until(lambda: bool(outcomes))
        return outcomes[0]

    first = look()
    assert isinstance(first, LookupFailed)
    assert first.is_trouble
    reactor.run_until(lambda: isinstance(look(), pb.GetEventsResponse))
    assert len(opened) == 2
    assert heard
    stream.close()
    channel.close()
    server.stop(None).wait(5)
