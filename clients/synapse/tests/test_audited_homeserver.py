"""The audit and the shadow in a homeserver, with a database and a sidecar that are real."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prometheus_client import REGISTRY

from splitcache_client.clock import monotonic
from splitcache_client.gen import event_cache_service_pb2 as pb
from splitcache_synapse import audit
from splitcache_synapse.audited import ShadowedSidecar
from splitcache_synapse.database_reader import DatabaseReader
from tests.homeserver import NAME, Homeserver


@pytest.fixture
def audited(home: Homeserver, monkeypatch: pytest.MonkeyPatch) -> Iterator[Homeserver]:
    """Every hit is audited, and differences are confirmed at once."""
    monkeypatch.setattr(audit, "CONFIRM_AFTER_S", 0.1)
    monkeypatch.setattr(home.module._audit, "_share", 1.0)
    monkeypatch.setattr(home.module._audit, "_skip", 0)
    yield home
    # What is left reads the database of the next test.
    home.run_until(lambda: not home.module._audit._is_running)


def audits(outcome: str) -> float:
    labels = {"server_name": NAME, "outcome": outcome}
    return REGISTRY.get_sample_value("splitcache_bridge_audits_total", labels) or 0.0


def put_what_is_wrong(home: Homeserver, event_id: str) -> None:
    """The sidecar then says that the event was rejected."""
    cached = home.fill(event_id)
    home._direct.unary(
        "InvalidateEvents",
        pb.InvalidateEventsRequest(homeserver=NAME, room_id=cached.room_id, event_ids=[event_id]),
        5.0,
        lambda reply: None,
    )
    positions: list[pb.GetEventsResponse] = []
    home._direct.unary("GetEvents", pb.GetEventsRequest(homeserver=NAME), 5.0, positions.append)
    cached.rejected, cached.rejected_reason = True, "auth_error"
    request = pb.PutEventsRequest(homeserver=NAME, events=[cached], as_of=positions[0].position)
    home._direct.unary("PutEvents", request, 5.0, lambda reply: None)
    held = home.held(event_id)
    assert held is not None
    assert held.rejected


def test_what_is_right_is_found_to_be_the_same(audited: Homeserver, room_id: str) -> None:
    event_id = audited.send(room_id)
    redacted = audited.send(room_id)
    audited.redact(room_id, redacted)
    for one in (event_id, redacted):
        audited.fill(one)
    before = audits("same")
    for one in (event_id, redacted):
        audited.stored(one)
    audited.run_until(lambda: audits("same") >= before + 2)
    assert audits("different") == audits("changed") == 0


def test_what_is_wrong_is_found_and_said(
    audited: Homeserver, room_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    event_id = audited.send(room_id)
    put_what_is_wrong(audited, event_id)
    before = audits("different")
    audited.stored(event_id)
    audited.run_until(lambda: audits("different") > before)
    assert f"the sidecar's entry of {event_id} is not what the database says" in caplog.text
    assert "rejected_reason" in caplog.text
    assert "auth_error" not in caplog.text


def test_an_audit_keeps_nothing_in_synapse_s_caches(home: Homeserver, room_id: str) -> None:
    event_id = home.send(room_id)
    home.store._get_event_cache._lru_cache.clear()
    home.store._event_ref.clear()
    entries = home.run(lambda: DatabaseReader(home.store).read([event_id]))
    assert entries[event_id].event.event_id == event_id
    assert home.store._get_event_cache._lru_cache.get((event_id,), None) is None
    assert event_id not in home.store._event_ref


def test_in_shadow_synapse_answers_from_its_database(
    audited: Homeserver, room_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, wrong = audited.send(room_id), audited.send(room_id)
    audited.fill(right)
    put_what_is_wrong(audited, wrong)
    module = audited.module
    shadowed = ShadowedSidecar(module._sidecar, module._audit, audited.reactor, monotonic)
    monkeypatch.setattr(module._reads, "_sidecar", shadowed)
    same, different = audits("same"), audits("different")
    audited.run_until(module._outbox.is_open)
    assert audited.stored(wrong).rejected_reason is None
    assert audited.stored(right).event_id == right
    audited.run_until(lambda: audits("same") > same and audits("different") > different)
    # The reader has put nothing in the place of what it was not served.
    held = audited.held(wrong)
    assert held is not None
    assert held.rejected
