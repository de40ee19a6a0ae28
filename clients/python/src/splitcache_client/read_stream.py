"""One GetEventsStream: lookups without the price of a call each."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc

from splitcache_client.gen import event_cache_service_pb2 as pb
from splitcache_client.seldom import SeldomLog

logger = logging.getLogger(__name__)

_METHOD = "/splitcache.v1.EventCacheService/GetEventsStream"

# More than a loop asks in one turn; beyond it the database is the better answer.
IN_FLIGHT_MAX = 256
# A stream on which nothing comes for this long, while lookups wait, is opened anew: it may be stuck
# though its connection is not.
SILENCE_MAX_S = 1.0
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 5.0


# With these codes the sidecar says that it cannot serve now.
_UNAVAILABLE = {
    grpc.StatusCode.UNAVAILABLE.value[0],
    grpc.StatusCode.RESOURCE_EXHAUSTED.value[0],
    grpc.StatusCode.DEADLINE_EXCEEDED.value[0],
    grpc.StatusCode.INTERNAL.value[0],
}
# With these codes the sidecar does not accept the credentials with which the stream was opened. A
# stream keeps them, so that only another one can have the token or certificate of now.
_DENIED = {grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED}
_DENIED_NUMBERS = {code.value[0] for code in _DENIED}


class LookupFailed(Exception):
    """A lookup has no reply. Its argument is the kind, as a metric's label.

    `disconnected`, `deadline`, `unavailable`: the sidecar is unavailable. `denied`: it does not
    accept the credentials. `refused`: it is up, and does not take this request. `busy`: too many
    wait already, and it was not asked.
    """

    @property
    def is_unavailable(self) -> bool:
        return self.args[0] not in ("refused", "busy")

    @property
    def is_answer(self) -> bool:
        return bool(self.args[0] == "refused")


@dataclass
class _Waiting:
    on_done: Callable[[Any], None]
    # None once it has fired: Twisted raises when a timer that was called is cancelled.
    timer: Any


class ReadStream:
    """Keeps one stream open. All but the inside of its thread runs on the loop's thread."""

    def __init__(self, channel: grpc.Channel, reactor: Any, heard: Callable[[], None]) -> None:
        """`heard` is called when anything comes."""
        self._open_call = channel.stream_stream(
            _METHOD,
            request_serializer=pb.GetEventsStreamRequest.SerializeToString,
            response_deserializer=pb.GetEventsStreamResponse.FromString,
        )
        self._reactor = reactor
        self._heard = heard
        # Since when nothing has come though something was asked for; None: nothing is overdue.
        self._silent_since: float | None = None
        self._waiting: dict[int, _Waiting] = {}
        self._request_id = 0
        self._connection: _Connection | None = None
        self._opens_after = 0.0
        self._pause_s = FIRST_PAUSE_S
        self._closed = False
        self._denials = SeldomLog(logger)

    def lookup(
        self, request: pb.GetEventsRequest, timeout_s: float, on_done: Callable[[Any], None]
    ) -> None:
        """Asks; `on_done` gets the GetEventsResponse or a LookupFailed."""
        connection = self._connected()
        if connection is None or len(self._waiting) >= IN_FLIGHT_MAX:
            on_done(LookupFailed("disconnected" if connection is None else "busy"))
            return
        if self._silent_since is None:
            self._silent_since = time.monotonic()
        self._request_id += 1
        request_id = self._request_id
        timer = self._reactor.callLater(timeout_s, self._time_out, request_id)
        self._waiting[request_id] = _Waiting(on_done, timer)
        connection.send(pb.GetEventsStreamRequest(request_id=request_id, request=request))

    def close(self) -> None:
        self._closed = True
        if self._connection is not None:
            self._connection.cancel()

    def _connected(self) -> _Connection | None:
        if self._connection is None:
            if self._closed or time.monotonic() < self._opens_after:
                return None
            self._connection = _Connection(self._open_call, self._reactor, self._receive, self._end)
        return self._connection

    def _receive(self, connection: _Connection, replies: list[pb.GetEventsStreamResponse]) -> None:
        if connection is not self._connection:
            # It was given up, and nobody waits for its replies any longer.
            return
        self._silent_since = None
        self._heard()
        for reply in replies:
            self._finish(reply.request_id, _outcome_of(reply))
        if any(_is_denied(reply) for reply in replies):
            connection.cancel()
            self._give_up(connection, "denied")
        else:
            self._pause_s = FIRST_PAUSE_S

    def _time_out(self, request_id: int) -> None:
        waiting = self._waiting.get(request_id)
        if waiting is not None:
            waiting.timer = None
        # A reply may lie here, and the loop have been too busy to take it.
        if self._connection is not None:
            self._connection.take()
        if request_id not in self._waiting:
            return
        since = self._silent_since
        if self._connection and since is not None and time.monotonic() - since > SILENCE_MAX_S:
            self._connection.cancel()
        self._finish(request_id, LookupFailed("deadline"))

    def _finish(self, request_id: int, outcome: Any) -> None:
        waiting = self._waiting.pop(request_id, None)
        if waiting is None:
            # It has timed out before.
            return
        if waiting.timer is not None:
            waiting.timer.cancel()
        try:
            waiting.on_done(outcome)
        except Exception:
            # The others that wait for this batch of replies must hear of theirs.
            logger.exception("splitcache: the outcome of a lookup could not be handed over")

    def _end(self, connection: _Connection) -> None:
        self._give_up(connection, "denied" if connection.ended_with in _DENIED else "disconnected")

    def _give_up(self, connection: _Connection, kind: str) -> None:
        """The next one is opened after a pause, with the credentials of then."""
        if connection is not self._connection:
            return
        if kind == "denied":
            text = "splitcache: the sidecar does not accept the credentials of the read stream"
            self._denials.log(logging.WARNING, text)
        self._connection = None
        self._silent_since = None
        self._opens_after = time.monotonic() + self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        for request_id in list(self._waiting):
            self._finish(request_id, LookupFailed(kind))


def _is_denied(reply: pb.GetEventsStreamResponse) -> bool:
    return reply.WhichOneof("result") == "failure" and reply.failure.code in _DENIED_NUMBERS


def _outcome_of(reply: pb.GetEventsStreamResponse) -> pb.GetEventsResponse | LookupFailed:
    if reply.WhichOneof("result") == "response":
        return reply.response
    if _is_denied(reply):
        return LookupFailed("denied")
    return LookupFailed("unavailable" if reply.failure.code in _UNAVAILABLE else "refused")


class _Connection:
    """One call of GetEventsStream and the thread that reads its replies."""

    def __init__(
        self,
        open_call: Any,
        reactor: Any,
        receive: Callable[[_Connection, list[pb.GetEventsStreamResponse]], None],
        end: Callable[[_Connection], None],
    ) -> None:
        # At most IN_FLIGHT_MAX wait for their reply, so this holds few more.
        self._requests: queue.SimpleQueue[pb.GetEventsStreamRequest | None] = queue.SimpleQueue()
        self._reactor = reactor
        self._receive = receive
        self._end = end
        self._lock = threading.Lock()
        self._replies: list[pb.GetEventsStreamResponse] = []
        # None while it is open, and if it ended without an error.
        self.ended_with: grpc.StatusCode | None = None
        self._call = open_call(self._sent())
        threading.Thread(target=self._read, name="splitcache-reads", daemon=True).start()

    def send(self, request: pb.GetEventsStreamRequest) -> None:
        self._requests.put(request)

    def cancel(self) -> None:
        self._call.cancel()

    def _sent(self) -> Iterator[pb.GetEventsStreamRequest]:
        while (request := self._requests.get()) is not None:
            yield request

    def _read(self) -> None:
        try:
            for reply in self._call:
                self._hand_over(reply)
        except grpc.RpcError as error:
            self.ended_with = error.code()
            logger.info("The stream of lookups has ended: %s", error.code())
        finally:
            # Ends the thread that gRPC reads the requests in.
            self._requests.put(None)
            self._reactor.callFromThread(self._end, self)

    def _hand_over(self, reply: pb.GetEventsStreamResponse) -> None:
        # The loop is woken once for all replies that come before it turns.
        with self._lock:
            self._replies.append(reply)
            first = len(self._replies) == 1
        if first:
            self._reactor.callFromThread(self.take)

    def take(self) -> None:
        """Hands over what has come. On the loop's thread."""
        with self._lock:
            replies, self._replies = self._replies, []
        if replies:
            self._receive(self, replies)
