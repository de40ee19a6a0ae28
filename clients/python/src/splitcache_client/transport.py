"""Calls to the sidecar: unary ones, and lookups."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Protocol

import grpc
from google.protobuf.message import Message

from splitcache_client.certificates import Certificates
from splitcache_client.channel import Channels
from splitcache_client.gen import event_cache_service_pb2 as pb
from splitcache_client.read_stream import ReadStream

logger = logging.getLogger(__name__)

SERVICE = "/splitcache.v1.EventCacheService/"

# What a call came to: its reply, or why there is none.
Outcome = Message | Exception
OnDone = Callable[[Any], None]

_METHODS: dict[str, Any] = {
    method.name: getattr(pb, method.output_type.name)
    for method in pb.DESCRIPTOR.services_by_name["EventCacheService"].methods
}

# After this long without an answer a connection is given up, though nothing says that it is cut:
# TCP itself would go on for a quarter of an hour. Sooner than a write waits.
SILENCE_MAX_S = 2.5

# After new certificates the previous connection stays open this long, for the calls on it to end.
LAST_CALLS_S = 5.0

# A sidecar that comes back should be found within a second or so.
CHANNEL_OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    # The time that an attempt to connect has, despite the name: a TLS handshake with a busy sidecar
    # may take longer than the first pause.
    ("grpc.min_reconnect_backoff_ms", 2_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Several homeservers of one process, as in tests, must not share a connection's fate.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
]


class Transport(Protocol):
    """How calls are made. Each `on_done` runs exactly once, on the loop's thread."""

    # Whether calls are made at once, in the caller's thread.
    immediate: bool

    def unary(self, method: str, request: Message, timeout_s: float, on_done: OnDone) -> None: ...

    def lookup(self, request: pb.GetEventsRequest, timeout_s: float, on_done: OnDone) -> None: ...

    def subscribe(self, request: pb.SubscribeRequest) -> Any:
        """The call itself: an iterator of frames that can be cancelled."""

    def close(self) -> None: ...


class GrpcTransport:
    """Opens its connection at the first call, in the background. Never blocks."""

    immediate = False

    def __init__(self, channels: Channels, reactor: Any) -> None:
        self._channels = channels
        self._reactor = reactor
        self._channel: grpc.Channel | None = None
        self._certificates: Certificates | None = None
        self._stream: ReadStream | None = None
        # What closes connections that were replaced.
        self._replaced: list[Callable[[], None]] = []
        self._heard_at = 0.0
        self._said_silent = False
        self._closed = False

    def unary(self, method: str, request: Message, timeout_s: float, on_done: OnDone) -> None:
        try:
            self._replace_if_outdated()
            channel = self._connected()
            future = call(channel, method).future(request, timeout=timeout_s)
        except Exception as error:
            # A channel that was closed, say.
            on_done(error)
            return

        def done(outcome: Outcome) -> None:
            self._watch(channel, outcome)
            on_done(outcome)

        future.add_done_callback(
            lambda future: self._reactor.callFromThread(done, _outcome_of(future))
        )

    def lookup(self, request: pb.GetEventsRequest, timeout_s: float, on_done: OnDone) -> None:
        if self._stream is None:
            self._stream = ReadStream(self._connected(), self._reactor, self._heard)
        self._stream.lookup(request, timeout_s, on_done)

    def subscribe(self, request: pb.SubscribeRequest) -> Any:
        return _subscribe(self._connected(), request)

    def close(self) -> None:
        self._closed = True
        for close in [*self._replaced, self._let_go()]:
            close()

    def _let_go(self) -> Callable[[], None]:
        """The next call opens another connection. Returns what closes this one."""
        stream, channel = self._stream, self._channel
        if not self._closed:
            self._stream = self._channel = None

        def close() -> None:
            if stream is not None:
                stream.close()
            if channel is not None:
                channel.close()

        return close

    def _replace_if_outdated(self) -> None:
        """Looks for new certificates. The poll for the position sees to it that this happens each
        second, also while the sidecar refuses the old ones. No call fails for it."""
        if self._channel is None or self._closed:
            return
        if self._channels.certificates() is self._certificates:
            return
        close = self._let_go()
        self._replaced.append(close)

        def close_at_last() -> None:
            self._replaced.remove(close)
            close()

        self._reactor.callLater(LAST_CALLS_S, close_at_last)

    def _connected(self) -> grpc.Channel:
        if self._channel is None:
            self._certificates = self._channels.certificates()
            self._channel = self._channels.open(CHANNEL_OPTIONS)
            self._heard_at = time.monotonic()
        return self._channel

    def _heard(self) -> None:
        self._heard_at = time.monotonic()
        self._said_silent = False

    def _watch(self, channel: grpc.Channel, outcome: Outcome) -> None:
        """Looks for the one failure of a connection that gRPC does not see by itself: packets
        that vanish. The poll for the position sees to it that there is a call each second."""
        if channel is not self._channel or self._closed:
            return
        if not _ran_out(outcome):
            self._heard()
        elif time.monotonic() - self._heard_at > SILENCE_MAX_S:
            if not self._said_silent:
                address = self._channels.address
                logger.warning("splitcache: nothing comes from %s; connecting anew", address)
            self._said_silent = True
            self._let_go()()


class BlockingTransport:
    """Makes each call at once and waits for it: for tests whose reactor is fake."""

    immediate = True

    def __init__(self, channels: Channels) -> None:
        self._channel = channels.open(CHANNEL_OPTIONS)

    def unary(self, method: str, request: Message, timeout_s: float, on_done: OnDone) -> None:
        outcome: Outcome
        try:
            outcome = call(self._channel, method)(request, timeout=timeout_s)
        except Exception as error:
            outcome = error
        on_done(outcome)

    def lookup(self, request: pb.GetEventsRequest, timeout_s: float, on_done: OnDone) -> None:
        self.unary("GetEvents", request, timeout_s, on_done)

    def subscribe(self, request: pb.SubscribeRequest) -> Any:
        return _subscribe(self._channel, request)

    def close(self) -> None:
        self._channel.close()


def call(channel: grpc.Channel, method: str) -> Any:
    """The unary method, to be called."""
    return channel.unary_unary(
        SERVICE + method,
        request_serializer=_serialize,
        response_deserializer=_METHODS[method].FromString,
    )


def is_refused(error: Exception) -> bool:
    """Whether the sidecar does not take this request, now or later."""
    code = getattr(error, "code", None)
    return code is not None and code() == grpc.StatusCode.INVALID_ARGUMENT


def _subscribe(channel: grpc.Channel, request: pb.SubscribeRequest) -> Any:
    stream = channel.unary_stream(
        SERVICE + "Subscribe",
        request_serializer=_serialize,
        response_deserializer=pb.SubscribeResponse.FromString,
    )
    return stream(request)


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()


def _ran_out(outcome: Outcome) -> bool:
    return (
        isinstance(outcome, grpc.RpcError) and outcome.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    )


def _outcome_of(future: Any) -> Outcome:
    try:
        reply: Message = future.result()
        return reply
    except Exception as error:
        return error
