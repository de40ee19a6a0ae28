"""What comes back from the sidecar is what Synapse would have read from its database."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from synapse.api.room_versions import KNOWN_ROOM_VERSIONS
from synapse.events import Event
from synapse.storage.databases.main.events_worker import EventCacheEntry
from synapse.synapse_rust.events import EventInternalMetadata

from splitcache_client.gen import event_cache_service_pb2 as pb
from splitcache_client.seldom import SeldomLog
from splitcache_synapse import stored_event
from splitcache_synapse.stored_event import from_cached, to_cached
from tests.corpus import (
    AGE_AT_TOP,
    AGE_IN_UNSIGNED,
    as_received,
    made_row,
    read_from_database,
    recorded_rows,
    row,
)

EVENT_FACTS = """
    event_id room_id content depth hashes origin_server_ts sender type rejected_reason
    room_version format_version
""".split()  # noqa: SIM905
EVENT_CALLS = """
    get_dict get_dict_for_persistence get_pdu_json get_templated_pdu_json prev_event_ids
    auth_event_ids is_state get_state_key sticky_duration
""".split()  # noqa: SIM905
METADATA_FACTS = """
    stream_ordering instance_name redacted_by outlier out_of_band_membership send_on_behalf_of
    recheck_redaction soft_failed proactively_send redacted policy_server_spammy
    spam_checker_spammy txn_id delay_id token_id device_id calculated_auth_event_ids
""".split()  # noqa: SIM905
# Seen through the facts and calls above, or not facts of the event.
ELSEWHERE = {
    "event": """
        signatures unsigned state_key internal_metadata membership redacts user_id
        prev_state_events get items keys deep_copy
    """.split(),  # noqa: SIM905
    "metadata": """
        get_dict is_outlier is_out_of_band_membership get_send_on_behalf_of
        need_to_check_redaction is_soft_failed should_proactively_send is_redacted is_notifiable
        deep_copy
    """.split(),  # noqa: SIM905
}


def facts_of(event: Event) -> dict[str, Any]:
    """All that Synapse can ask of an event."""
    metadata = event.internal_metadata
    said = {name: getattr(event, name) for name in EVENT_FACTS}
    said.update({name: getattr(event, name)() for name in EVENT_CALLS})
    # In the order of a hash table.
    said["keys"] = sorted(event.keys())
    said["signatures"] = event.signatures.as_dict()
    said["unsigned"] = (event.unsigned.for_persistence(), event.unsigned.for_event())
    said["internal"] = metadata.get_dict()
    for name in METADATA_FACTS:
        said[f"internal {name}"] = getattr(metadata, name, "has none")
    # Numbers that are equal but not the same (1 and 1.0, 0.0 and -0.0) are told apart.
    said["text"] = json.dumps(event.get_dict(), sort_keys=True)
    said["content"] = dict(event.content)
    said["room_version"] = event.room_version.identifier
    return said


def facts_of_entry(entry: EventCacheEntry) -> Any:
    redacted = entry.redacted_event
    return facts_of(entry.event), redacted and facts_of(redacted)


def through_the_sidecar(entry: EventCacheEntry) -> EventCacheEntry:
    cached = to_cached(entry)
    assert cached is not None
    came_back = from_cached(pb.CachedEvent.FromString(cached.SerializeToString()))
    assert came_back is not None
    return came_back


def test_asks_for_every_fact_that_synapse_has() -> None:
    """A release with a new fact fails here, until it is stored as well."""

    def public(kind: type) -> set[str]:
        return {name for name in dir(kind) if not name.startswith("_")}

    assert public(Event) == {*EVENT_FACTS, *EVENT_CALLS, *ELSEWHERE["event"]}
    assert public(EventInternalMetadata) == {*METADATA_FACTS, *ELSEWHERE["metadata"]}


def test_gives_back_every_recorded_event() -> None:
    compared = redacted = rejected = 0
    for _, one in recorded_rows():
        for entry in read_from_database(one).values():
            assert facts_of_entry(through_the_sidecar(entry)) == facts_of_entry(entry)
            compared += 1
            redacted += entry.redacted_event is not None
            rejected += entry.event.rejected_reason is not None
    assert compared > 500
    assert redacted > 0
    assert rejected > 0


@pytest.mark.parametrize("version", sorted(KNOWN_ROOM_VERSIONS))
@pytest.mark.parametrize(
    ("kind", "content", "more"),
    [
        ("m.room.message", {"body": "ünï\u0000 \U0001f600", "": [None, True, {}]}, {}),
        ("m.room.create", {"room_version": "x", "creator": "@a:b"}, {"state_key": ""}),
        ("m.room.redaction", {"redacts": "$it:b"}, {"redacts": "$it:b"}),
    ],
)
def test_gives_back_every_room_version(
    version: str, kind: str, content: dict[str, Any], more: dict[str, Any]
) -> None:
    (entry,) = read_from_database(made_row(version, kind, content, **more)).values()
    assert facts_of_entry(through_the_sidecar(entry)) == facts_of_entry(entry)


def test_gives_back_all_internal_metadata() -> None:
    internal = {
        "out_of_band_membership": True,
        "send_on_behalf_of": "gamma.example",
        "recheck_redaction": True,
        "soft_failed": True,
        "proactively_send": False,
        "redacted": True,
        "policy_server_spammy": True,
        "spam_checker_spammy": True,
        "txn_id": "txn",
        "delay_id": "delay",
        "token_id": 2**40,
        "device_id": "DEVICE",
    }
    made = made_row("10", "m.room.message", {"body": "x"})
    one = row(
        "10",
        event_id=made.event_id,
        json=made.json,
        internal_metadata=json.dumps(internal),
        rejected_reason="auth_error",
        redacted_by="$redaction",
        outlier=True,
        stream_ordering=-5,
        instance_name="persister_2",
    )
    (entry,) = read_from_database(one).values()
    came_back = through_the_sidecar(entry)
    assert facts_of_entry(came_back) == facts_of_entry(entry)
    assert came_back.event.internal_metadata.get_dict() == internal
    assert came_back.event.rejected_reason == "auth_error"
    assert came_back.redacted_event is not None
    assert came_back.redacted_event.internal_metadata.redacted_by == "$redaction"


@pytest.mark.parametrize("release", [AGE_AT_TOP, AGE_IN_UNSIGNED])
def test_homeservers_that_received_an_event_have_one_body_and_each_its_own_age(
    release: str,
) -> None:
    compared = 0
    for _, one in recorded_rows():
        bodies = set()
        for row_of_one in (one, as_received(one, release, 17), as_received(one, release, 2**53)):
            for entry in read_from_database(row_of_one).values():
                cached = to_cached(entry)
                assert cached is not None
                bodies.add(cached.body)
                assert facts_of_entry(through_the_sidecar(entry)) == facts_of_entry(entry)
        assert len(bodies) <= 1, one.event_id
        compared += len(bodies)
    assert compared > 500


@pytest.mark.parametrize("age_ts", [1_700_000_000_000, 0, -1, None, 1.5, "12", [1], {"a": 1}])
def test_gives_back_whatever_stands_in_age_ts(age_ts: Any) -> None:
    made = made_row("5", "m.room.message", {"body": "x"}, age_ts=age_ts)
    (entry,) = read_from_database(made).values()
    came_back = through_the_sidecar(entry)
    assert facts_of_entry(came_back) == facts_of_entry(entry)
    assert came_back.event.get_dict()["age_ts"] == age_ts


def test_signatures_are_part_of_the_body() -> None:
    """Another one is another variant: the sidecar keeps both."""
    content = {"body": "shared"}
    entries = [
        *read_from_database(made_row("10", "m.room.message", content)).values(),
        *read_from_database(
            made_row("10", "m.room.message", content, signatures={"b": {"k": "s"}})
        ).values(),
    ]
    first, second = map(to_cached, entries)
    assert first is not None
    assert second is not None
    assert first.body != second.body
    assert first.internal_metadata == second.internal_metadata


def test_leaves_out_what_synapse_added_for_one_process() -> None:
    (entry,) = read_from_database(made_row("10", "m.room.member", {}, state_key="@a:b")).values()
    before = to_cached(entry)
    entry.event.unsigned["prev_content"] = {"membership": "invite"}
    entry.event.unsigned["prev_sender"] = "@b:b"
    assert to_cached(entry) == before


@pytest.mark.parametrize(
    "too_long",
    [
        {"content": {"body": "x" * 262_144}},
        {"content": {}, "unsigned": {"invite_room_state": [{"type": "x" * 16_384}]}},
        {"content": {}, "room_id": "!" + "r" * 1_020},
    ],
)
def test_does_not_store_what_the_contract_does_not_take(too_long: dict[str, Any]) -> None:
    (entry,) = read_from_database(made_row("10", "m.room.message", **too_long)).values()
    assert to_cached(entry) is None


def test_reads_damaged_entries_as_missing_or_as_they_were() -> None:
    (entry,) = read_from_database(made_row("10", "m.room.message", {"body": "x"})).values()
    cached = to_cached(entry)
    assert cached is not None
    chance = random.Random(7)
    missing = 0
    for _ in range(500):
        damaged = pb.CachedEvent.FromString(cached.SerializeToString())
        body = bytearray(damaged.body)
        body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
        damaged.body = bytes(body)
        read = from_cached(damaged)
        # What the event ID does not cover is what v3 and later rooms allow to differ.
        missing += read is None
        assert read is None or read.event.event_id == entry.event.event_id
    assert missing > 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[1]",
        b'"text"',
        b'{"type":"m.room.message"',
        b'{"type":"m.room.message"} ',
        b'{"type":"m.room.message"}}',
        b"\xff\xfe}",
    ],
)
def test_reads_a_body_that_is_no_event_as_missing(body: bytes) -> None:
    (entry,) = read_from_database(next(recorded_rows())[1]).values()
    cached = to_cached(entry)
    assert cached is not None
    cached.body = body
    assert from_cached(cached) is None


def test_a_body_that_claims_to_know_what_is_the_homeservers_own_is_not_read() -> None:
    (entry,) = read_from_database(next(recorded_rows())[1]).values()
    cached = to_cached(entry)
    assert cached is not None
    cached.body = cached.body[:-1] + b',"unsigned":{"redacted_because":"another"}}'
    read = from_cached(cached)
    assert read is None or read.event.unsigned.get("redacted_because") is None


def test_an_entry_of_another_version_is_missing_whatever_it_says(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As of a process that is not upgraded yet. Nothing is logged: it may be each entry."""
    (entry,) = read_from_database(made_row("10", "m.room.message", {"body": "x"})).values()
    cached = to_cached(entry)
    assert cached is not None
    of_version_1 = {
        "format_version": 1,
        "signatures": {},
        "unsigned": {},
        "internal_metadata": {},
        "stream_ordering": 7,
        "instance_name": "master",
        "outlier": False,
    }
    of_version_3 = [3, *json.loads(cached.internal_metadata)[1:]]
    for other in (of_version_1, of_version_3):
        cached.internal_metadata = json.dumps(other).encode()
        assert from_cached(cached) is None
    assert caplog.text == ""


@pytest.mark.parametrize(
    "change",
    [
        {"internal_metadata": b""},
        {"internal_metadata": b"[]"},
        {"internal_metadata": b"[1]"},
        {"internal_metadata": b"[3, 1, 2]"},
        {"internal_metadata": b"[2, 1]"},
        {"internal_metadata": b'[2, "x", 1, false, {}, {}]'},
        {"internal_metadata": b"\x80\x04pickle"},
        {"body": b"null"},
        {"room_version": "unheard of"},
        {"event_id": "$another"},
        {"room_id": "!another:alpha.example"},
    ],
)
def test_reads_what_it_does_not_know_as_missing(change: dict[str, Any]) -> None:
    (entry,) = read_from_database(made_row("10", "m.room.message", {"body": "x"})).values()
    cached = to_cached(entry)
    assert cached is not None
    for name, value in change.items():
        setattr(cached, name, value)
    assert from_cached(cached) is None


def test_damage_is_logged_once_a_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """All that the sidecar holds may be damaged."""
    monkeypatch.setattr(stored_event, "_unreadable", SeldomLog(stored_event.logger))
    for number in range(3):
        assert from_cached(pb.CachedEvent(event_id=f"${number}", internal_metadata=b"[")) is None
    (warning,) = [one.getMessage() for one in caplog.records]
    assert "cannot read what the sidecar holds of $0" in warning
