"""The calls, with what each client has to do about them."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import NamedTuple

import grpc
from splitcache_proto.v1 import event_cache_service_pb2 as pb
from splitcache_proto.v1 import event_cache_service_pb2_grpc as stubs

# Every call has a deadline: a cache that does not answer must not delay its user.
DEADLINE_S = 1.0
ATTEMPTS = 5
EVENTS_MAX = 500
REQUEST_BYTES_MAX = 4_000_000


class TwoSidecars(Exception):
    """An epoch came back after another one: two sidecars answer at this address. Neither receives
    the other's changes, so this client must stop using the cache."""


class Epochs:
    """Notices an epoch that comes back, in a client that has no database to register epochs in."""

    def __init__(self) -> None:
        self._current = b""
        self._past: set[bytes] = set()

    def see(self, position: pb.Position) -> None:
        """Takes the position of each reply and frame, in the order in which they come."""
        if position.epoch == self._current:
            return
        if position.epoch in self._past:
            raise TwoSidecars(position.epoch.hex())
        if self._current:
            self._past.add(self._current)
        self._current = position.epoch


class Lookup(NamedTuple):
    hits: list[pb.CachedEvent]
    missing: list[str]
    # From before the lookup: read the database after it, and fill with it. None: fill nothing.
    position: pb.Position | None
    truncated: int


class Cache:
    def __init__(self, address: str, homeserver: str) -> None:
        self.homeserver = homeserver
        # A sidecar is near: do not use the proxy that the environment names.
        channel = grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)])
        self._stub = stubs.EventCacheServiceStub(channel)

    def call(self, method: str, request, deadline_s: float = DEADLINE_S, attempts: int = ATTEMPTS):
        """Makes one call. Each may be repeated: at worst a repeat turns a hit into a miss."""
        for attempt in itertools.count(1):
            try:
                return getattr(self._stub, method)(request, timeout=deadline_s)
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE or attempt == attempts:
                    raise
                time.sleep(0.025 * 2**attempt)

    def get(self, event_ids: list[str], view: int = pb.REDACTION_VIEW_REDACTED) -> Lookup:
        hits: list[pb.CachedEvent] = []
        missing: list[str] = []
        first, wanted = None, event_ids
        while True:
            request = pb.GetEventsRequest(
                homeserver=self.homeserver, event_ids=wanted, redaction_view=view
            )
            reply = self.call("GetEvents", request)
            first = first or reply
            if reply.position.epoch != first.position.epoch:
                # One lookup is of one epoch.
                missing += wanted
                break
            hits += reply.events
            missing += reply.missing_event_ids
            # Ask again for what did not fit into the reply.
            wanted = list(reply.truncated_event_ids)
            if not wanted:
                break
        # A sidecar that is unverified gives no position: then there is nothing to fill with.
        position = first.position if first.HasField("position") else None
        return Lookup(hits, missing, position, len(first.truncated_event_ids))

    def position(self, deadline_s: float = DEADLINE_S, attempts: int = ATTEMPTS) -> pb.Position:
        request = pb.GetEventsRequest(homeserver=self.homeserver)
        return self.call("GetEvents", request, deadline_s, attempts).position

    def put(self, events: list[pb.CachedEvent], as_of: pb.Position) -> list[int]:
        """Puts what the database showed after `as_of`."""
        outcomes: list[int] = []
        for batch in _batches(events):
            request = pb.PutEventsRequest(homeserver=self.homeserver, events=batch, as_of=as_of)
            outcomes += self.call("PutEvents", request).outcomes
        return outcomes

    def subscribe(self, resume_after: pb.Position | None):
        request = pb.SubscribeRequest(
            homeserver=self.homeserver, resume_after=resume_after, subscriber="example"
        )
        return self._stub.Subscribe(request)


def _batches(events: list[pb.CachedEvent]) -> Iterator[list[pb.CachedEvent]]:
    """Splits by number and by bytes: a request has at most 500 events and 4 MiB."""
    batch, size = [], 0
    for event in events:
        if batch and (size + event.ByteSize() > REQUEST_BYTES_MAX or len(batch) == EVENTS_MAX):
            yield batch
            batch, size = [], 0
        batch.append(event)
        size += event.ByteSize() + 8
    if batch:
        yield batch


def name(enum, value: int, prefix: str) -> str:
    return enum.Name(value).removeprefix(prefix).lower()


def show(position: pb.Position) -> str:
    return f"{position.epoch.hex()}:{position.sequence}"
