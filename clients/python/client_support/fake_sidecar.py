"""A sidecar whose replies and notices a test decides, over a real socket."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc

from splitcache_client.gen import event_cache_service_pb2 as pb

E1, E2 = b"1" * 16, b"2" * 16


class FakeSidecar:
    """Answers position requests at once. Each lookup is answered by `answer` of the test."""

    def __init__(self, folder: Path) -> None:
        self.epoch, self.sequence = E1, 0
        # While clear, position requests get no answer.
        self.answers_positions = threading.Event()
        self.answers_positions.set()
        self.lookups: queue.SimpleQueue[pb.GetEventsStreamRequest] = queue.SimpleQueue()
        self._replies: queue.SimpleQueue[pb.GetEventsStreamResponse | None] = queue.SimpleQueue()
        self._frames: queue.SimpleQueue[pb.SubscribeResponse | None] = queue.SimpleQueue()
        self._server = grpc.server(ThreadPoolExecutor(8))
        self.address = f"unix:{folder}/fake.sock"
        self._server.add_insecure_port(self.address)
        handlers = {
            "GetEvents": grpc.unary_unary_rpc_method_handler(
                self._position, pb.GetEventsRequest.FromString, _serialize
            ),
            "GetEventsStream": grpc.stream_stream_rpc_method_handler(
                self._stream, pb.GetEventsStreamRequest.FromString, _serialize
            ),
            "Subscribe": grpc.unary_stream_rpc_method_handler(
                self._subscribe, pb.SubscribeRequest.FromString, _serialize
            ),
        }
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("splitcache.v1.EventCacheService", handlers),)
        )
        self._server.start()

    def stop(self) -> None:
        self.answers_positions.set()
        self._replies.put(None)
        self._frames.put(None)
        self._server.stop(0).wait(10)

    def position(self) -> pb.Position:
        return pb.Position(epoch=self.epoch, sequence=self.sequence)

    def answer(
        self, *events: pb.CachedEvent, truncated: tuple[str, ...] = (), timeout_s: float = 20
    ) -> pb.GetEventsStreamRequest:
        """Answers the next lookup with these, and returns it."""
        lookup = self.lookups.get(timeout=timeout_s)
        self.reply(lookup, *events, truncated=truncated)
        return lookup

    def reply(
        self,
        lookup: pb.GetEventsStreamRequest,
        *events: pb.CachedEvent,
        truncated: tuple[str, ...] = (),
        position: pb.Position | None = None,
    ) -> None:
        found = {one.event_id for one in events} | set(truncated)
        response = pb.GetEventsResponse(
            events=events,
            missing_event_ids=[one for one in lookup.request.event_ids if one not in found],
            truncated_event_ids=truncated,
            position=position or self.position(),
        )
        self._replies.put(
            pb.GetEventsStreamResponse(request_id=lookup.request_id, response=response)
        )

    def notice(self, **change: Any) -> None:
        """One change, which the position counts."""
        before = self.position()
        self.sequence += 1
        notice = pb.Notice(sequence=self.sequence, **change)
        batch = pb.Batch(from_exclusive=before, to_inclusive=self.position(), notices=[notice])
        self._frames.put(pb.SubscribeResponse(batch=batch))

    def reset(self, epoch: bytes) -> None:
        self.epoch, self.sequence = epoch, 0
        self._frames.put(pb.SubscribeResponse(reset=pb.Reset(position=self.position())))

    def _position(self, request: pb.GetEventsRequest, context: Any) -> pb.GetEventsResponse:
        # Taken before the wait, as a reply that is late.
        position = self.position()
        self.answers_positions.wait(20)
        return pb.GetEventsResponse(position=position)

    def _stream(
        self, requests: Iterator[pb.GetEventsStreamRequest], context: Any
    ) -> Iterator[pb.GetEventsStreamResponse]:
        def read() -> None:
            try:
                for request in requests:
                    self.lookups.put(request)
            except Exception:
                # The client has closed the stream.
                self._replies.put(None)

        threading.Thread(target=read, daemon=True).start()
        while (reply := self._replies.get()) is not None:
            yield reply

    def _subscribe(
        self, request: pb.SubscribeRequest, context: Any
    ) -> Iterator[pb.SubscribeResponse]:
        context.add_callback(lambda: self._frames.put(None))
        yield pb.SubscribeResponse(ready=pb.Ready(position=self.position()))
        while (frame := self._frames.get()) is not None:
            yield frame


def _serialize(message: Any) -> bytes:
    return bytes(message.SerializeToString())
