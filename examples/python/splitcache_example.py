"""How a program uses splitcache: `tour` makes each call once, `follow` follows the changes.

    python splitcache_example.py tour ADDRESS
    python splitcache_example.py follow ADDRESS [--writers a,b]

ADDRESS is host:port or unix:/path.
"""

from __future__ import annotations

import argparse
import itertools
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from splitcache_proto.v1 import event_cache_service_pb2 as pb
from splitcache_proto.v1 import event_cache_service_pb2_grpc as stubs

ROOM = "!room:example.org"
ONE, TWO, REDACTION = "$one:example.org", "$two:example.org", "$redaction:example.org"
# Every call has a deadline: a cache that does not answer must not hold up its user.
DEADLINE_S = 1.0
REQUEST_BYTES_MAX = 4_000_000


class TwoSidecars(Exception):
    """An epoch that was replaced came back: two sidecars answer at this address. They do not hear
    each other's changes, so this client must stop using the cache."""


class Cache:
    """The calls, with what each client has to see to."""

    def __init__(self, address: str, homeserver: str, writers: list[str]) -> None:
        self.homeserver = homeserver
        self._writers = writers
        # A sidecar is near: no proxy that the environment names stands in between.
        channel = grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)])
        self._stub = stubs.EventCacheServiceStub(channel)
        self._epoch = b""
        self._declared_in = b""
        self._past_epochs: set[bytes] = set()

    def call(self, method: str, request, timeout: float = DEADLINE_S):
        """One call. Each may be repeated: at worst a repeat turns a hit into a miss."""
        for attempt in itertools.count():
            try:
                reply = getattr(self._stub, method)(request, timeout=timeout)
                self.see(reply.position)
                return reply
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE or attempt == 4:
                    raise
                time.sleep(0.05 * 2**attempt)

    def see(self, position: pb.Position) -> None:
        """Every position that comes passes here."""
        if position.epoch == self._epoch:
            return
        if position.epoch in self._past_epochs:
            raise TwoSidecars(position.epoch.hex())
        if self._epoch:
            self._past_epochs.add(self._epoch)
        self._epoch = position.epoch

    def declare(self) -> None:
        """Names the homeserver's writers, at the start and in each new epoch. Until then a reply
        from that epoch counts as a miss."""
        if not self._writers or (self._declared_in and self._declared_in == self._epoch):
            return
        request = pb.DeclareWritersRequest(homeserver=self.homeserver, writers=self._writers)
        self._declared_in = self.call("DeclareWriters", request).position.epoch
        print(f"declared {','.join(self._writers)} in {self._declared_in.hex()}", flush=True)

    def get(self, event_ids: list[str], view: int = pb.REDACTION_VIEW_REDACTED):
        """The hits, what is missing, and the position from before the lookup."""
        hits, missing, truncated_ids = [], [], []
        wanted, position = event_ids, None
        while True:
            reply = self.call(
                "GetEvents",
                pb.GetEventsRequest(
                    homeserver=self.homeserver, event_ids=wanted, redaction_view=view
                ),
            )
            hits += reply.events
            missing += reply.missing_event_ids
            # The oldest position: what is missing is read from the database after it.
            position = position or reply.position
            if not reply.truncated_event_ids:
                return hits, missing, position, truncated_ids
            wanted = list(reply.truncated_event_ids)
            truncated_ids = truncated_ids or wanted

    def put(self, events: list[pb.CachedEvent], as_of: pb.Position) -> list[int]:
        """Puts what the database showed after `as_of`. Split by bytes: 4 MiB a request."""
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
    batch, size = [], 0
    for event in events:
        if batch and (size + event.ByteSize() > REQUEST_BYTES_MAX or len(batch) == 500):
            yield batch
            batch, size = [], 0
        batch.append(event)
        size += event.ByteSize() + 8
    if batch:
        yield batch


def message(event_id: str, text: str) -> pb.CachedEvent:
    body = {"type": "m.room.message", "room_id": ROOM, "content": {"body": text}}
    return pb.CachedEvent(
        event_id=event_id, room_id=ROOM, room_version="10", body=json.dumps(body).encode()
    )


def name(enum, value: int, prefix: str) -> str:
    return enum.Name(value).removeprefix(prefix).lower()


def show(position: pb.Position) -> str:
    return f"{position.epoch.hex()}:{position.sequence}"


def tour(cache: Cache) -> None:
    home = cache.homeserver
    print("position", show(cache.call("GetEvents", pb.GetEventsRequest(homeserver=home)).position))
    _, missing, position, _ = cache.get([ONE, TWO])
    for event_id in missing:
        print("missing", event_id)
    # Here, and not before, the database is read; what it shows is put with that position.
    before_all, events = position, [message(ONE, "one"), message(TWO, "two")]
    for event, outcome in zip(events, cache.put(events, position), strict=True):
        print(name(pb.PutOutcome, outcome, "PUT_OUTCOME_"), event.event_id)
    for event in cache.get([ONE, TWO])[0]:
        print("hit", event.event_id, event.body.decode())
    change(cache)
    large = [message(f"$big{n}:example.org", "x" * 250_000) for n in range(20)]
    event_ids = [event.event_id for event in large]
    cache.put(large, cache.get(event_ids)[2])
    hits, _, _, truncated = cache.get(event_ids)
    print(f"truncated {len(truncated)} of {len(large)}, asked again: {len(hits)} hits")
    outcome = cache.put([message(ONE, "one")], before_all)[0]
    print(name(pb.PutOutcome, outcome, "PUT_OUTCOME_"), ONE)
    fail(cache)
    print("done")


def change(cache: Cache) -> None:
    home = cache.homeserver
    _, _, position, _ = cache.get([])
    redacted = cache.call(
        "SetRedaction",
        pb.SetRedactionRequest(
            homeserver=home,
            room_id=ROOM,
            event_id=ONE,
            as_of=position,
            redaction=pb.Redaction(redacted_by=REDACTION),
        ),
    )
    outcome = name(pb.SetOutcome, redacted.outcome, "SET_OUTCOME_")
    print(f"redacted {ONE} by {REDACTION}: {outcome}")
    print("hit", ONE, "redacted by", cache.get([ONE])[0][0].redaction.redacted_by)
    print("original", ONE, cache.get([ONE], pb.REDACTION_VIEW_ORIGINAL)[0][0].body.decode())
    rejected = cache.call(
        "SetRejected",
        pb.SetRejectedRequest(
            homeserver=home, room_id=ROOM, event_id=TWO, rejected=True, as_of=redacted.position
        ),
    )
    print(f"rejected {TWO}: {name(pb.SetOutcome, rejected.outcome, 'SET_OUTCOME_')}")
    cache.call("PurgeRoom", pb.PurgeRoomRequest(homeserver=home, room_id=ROOM))
    print("purged", ROOM)
    for event_id in cache.get([ONE, TWO])[1]:
        print("missing", event_id)


def fail(cache: Cache) -> None:
    try:
        cache.get([""])
    except grpc.RpcError as error:
        for detail in rpc_status.from_call(error).details:
            bad = error_details_pb2.BadRequest()
            if detail.Unpack(bad):
                first = bad.field_violations[0]
                print("refused", error.code().name, f"{first.field}: {first.description}")
    try:
        cache.call("GetEvents", pb.GetEventsRequest(homeserver=cache.homeserver), timeout=-1)
    except grpc.RpcError as error:
        print("deadline", error.code().name)


def follow(cache: Cache) -> None:
    """A worker follows what changed, for ever, and misses nothing."""
    applied, pause_s = None, 0.1
    while True:
        try:
            cache.declare()
            stream = cache.subscribe(applied)
            silence = Silence(stream.cancel)
            for frame in stream:
                silence.heard(frame)
                pause_s = 0.1
                applied = apply(cache, frame) or applied
                cache.declare()
        except grpc.RpcError as error:
            print("disconnected", error.code().name, flush=True)
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, 1.0)


class Silence:
    """Ends a stream on which nothing has come for a lease: who has heard nothing for as long may
    have missed a change, and serves nothing that it holds until it has resumed."""

    def __init__(self, cancel: Callable[[], object]) -> None:
        self._cancel = cancel
        self._lease_s = 5.0
        self._timer: threading.Timer | None = None

    def heard(self, frame: pb.SubscribeResponse) -> None:
        if frame.WhichOneof("frame") in ("ready", "reset"):
            told = frame.ready if frame.HasField("ready") else frame.reset
            self._lease_s = told.lease_duration.ToTimedelta().total_seconds()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(self._lease_s, self._cancel)
        self._timer.daemon = True
        self._timer.start()


def apply(cache: Cache, frame: pb.SubscribeResponse) -> pb.Position | None:
    """Applies one frame; returns where the subscriber stands after it."""
    kind = frame.WhichOneof("frame")
    if kind == "going_away":
        print("going away", flush=True)
    if kind not in ("ready", "reset", "batch", "progress"):
        # A frame that this client does not know is skipped.
        return None
    position = frame.batch.to_inclusive if kind == "batch" else getattr(frame, kind).position
    cache.see(position)
    if kind == "ready":
        print("ready", show(position), f"resumed={str(frame.ready.resumed).lower()}", flush=True)
    elif kind == "reset":
        # Here a client drops everything that it holds for the homeserver.
        reason = name(pb.ResetReason, frame.reset.reason, "RESET_REASON_")
        print("reset", show(position), reason, flush=True)
    elif kind == "batch":
        for notice in frame.batch.notices:
            print("notice", notice.sequence, *describe(notice), flush=True)
    return position


def describe(notice: pb.Notice) -> list[str]:
    kind = notice.WhichOneof("change")
    if kind in (None, "homeserver_purged"):
        # A change that this client does not know may be anything.
        return ["homeserver_purged"]
    change = getattr(notice, kind)
    words = [kind, change.room_id or "-"]
    if kind == "event_redacted":
        return [*words, change.event_id, change.redacted_by]
    if kind == "event_rejected":
        return [*words, change.event_id, str(change.rejected).lower()]
    return words + (list(change.event_ids) if kind == "events_invalidated" else [])


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["tour", "follow"])
    parser.add_argument("address")
    parser.add_argument("--homeserver", default="example.org")
    parser.add_argument("--writers", default="")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    writers = [writer for writer in options.writers.split(",") if writer]
    cache = Cache(options.address, options.homeserver, writers)
    try:
        (tour if options.command == "tour" else follow)(cache)
    except TwoSidecars as found:
        print(f"two sidecars: {found} came back", flush=True)
        return 3
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
