"""Makes every call once."""

from __future__ import annotations

import json

import grpc
from cache import Cache, name, show
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from splitcache_proto.v1 import event_cache_service_pb2 as pb

ROOM = "!room:example.org"
ONE, TWO, REDACTION = "$one:example.org", "$two:example.org", "$redaction:example.org"


def tour(cache: Cache) -> None:
    print("position", show(cache.position()))
    missed = cache.get([ONE, TWO])
    for event_id in missed.missing:
        print("missing", event_id)
    # Read the database here, not before; put what it shows with that position.
    before_all, events = missed.position, [message(ONE, "one"), message(TWO, "two")]
    for event, outcome in zip(events, cache.put(events, before_all), strict=True):
        print(name(pb.PutOutcome, outcome, "PUT_OUTCOME_"), event.event_id)
    for event in cache.get([ONE, TWO]).hits:
        print("hit", event.event_id, event.body.decode())
    change(cache)
    large = [message(f"$big{n}:example.org", "x" * 250_000) for n in range(20)]
    event_ids = [event.event_id for event in large]
    cache.put(large, cache.get(event_ids).position)
    found = cache.get(event_ids)
    print(f"truncated {found.truncated} of {len(large)}, asked again: {len(found.hits)} hits")
    # A position from before the purge: what was read then must not be put now.
    outcome = cache.put([message(ONE, "one")], before_all)[0]
    print(name(pb.PutOutcome, outcome, "PUT_OUTCOME_"), ONE)
    fail(cache)
    begin_epoch(cache)
    print("done")


def change(cache: Cache) -> None:
    home = cache.homeserver
    redacted = cache.call(
        "SetRedaction",
        pb.SetRedactionRequest(
            homeserver=home,
            room_id=ROOM,
            event_id=ONE,
            as_of=cache.position(),
            redaction=pb.Redaction(redacted_by=REDACTION),
        ),
    )
    outcome = name(pb.SetOutcome, redacted.outcome, "SET_OUTCOME_")
    print(f"redacted {ONE} by {REDACTION}: {outcome}")
    print("hit", ONE, "redacted by", cache.get([ONE]).hits[0].redaction.redacted_by)
    print("original", ONE, cache.get([ONE], pb.REDACTION_VIEW_ORIGINAL).hits[0].body.decode())
    rejected = cache.call(
        "SetRejected",
        pb.SetRejectedRequest(
            homeserver=home, room_id=ROOM, event_id=TWO, rejected=True, as_of=redacted.position
        ),
    )
    print(f"rejected {TWO}: {name(pb.SetOutcome, rejected.outcome, 'SET_OUTCOME_')}")
    cache.call("PurgeRoom", pb.PurgeRoomRequest(homeserver=home, room_id=ROOM))
    print("purged", ROOM)
    for event_id in cache.get([ONE, TWO]).missing:
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
        cache.position(deadline_s=-1)
    except grpc.RpcError as error:
        print("deadline", error.code().name)


def begin_epoch(cache: Cache) -> None:
    before = cache.position()
    request = pb.PurgeHomeserverRequest(homeserver=cache.homeserver, new_epoch=True)
    after = cache.call("PurgeHomeserver", request).position
    print("new epoch" if after.epoch != before.epoch else "the same epoch")


def message(event_id: str, text: str) -> pb.CachedEvent:
    body = {"type": "m.room.message", "room_id": ROOM, "content": {"body": text}}
    return pb.CachedEvent(
        event_id=event_id, room_id=ROOM, room_version="10", body=json.dumps(body).encode()
    )
