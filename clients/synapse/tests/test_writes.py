"""Each way in which Synapse changes a stored event reaches a real sidecar.

Synapse's own code changes its own database. What the sidecar held of the event before must be
gone once that code has returned; what is read then is the event as it is now.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import REGISTRY
from synapse.api.constants import EventTypes, RejectedReason
from synapse.events import make_event_from_dict
from synapse.events.snapshot import EventContext

from splitcache_client.gen import event_cache_service_pb2 as pb
from tests.changes import (
    REDACT_ALL,
    ban_for_a_while,
    judge,
    make,
    mark_rejected,
    persist,
    sign_anew,
)
from tests.homeserver import ALICE, BOB, NAME, Homeserver
from tests.since import is_since, since


@pytest.fixture(scope="module")
def bystander(home: Homeserver) -> str:
    """An event of another room that nothing changes."""
    return home.send(home.room())


Dropped = Callable[[str, Callable[[], Any]], pb.CachedEvent]


@pytest.fixture
def dropped(home: Homeserver, bystander: str) -> Dropped:
    """Makes a change of an event, and sees the sidecar let go of what it held of it; that."""

    def change(event_id: str, call: Callable[[], Any]) -> pb.CachedEvent:
        before = home.fill(event_id)
        unchanged = home.fill(bystander)
        call()
        # Synapse may have read it again by then.
        assert home.held(event_id) != before
        # It answers, and more than what changed was not dropped.
        assert home.held(bystander) == unchanged
        return before

    return change


def test_a_redaction(home: Homeserver, room_id: str, dropped: Dropped) -> None:
    event_id = home.send(room_id)
    assert not dropped(event_id, lambda: home.redact(room_id, event_id)).HasField("redaction")
    assert home.fill(event_id).HasField("redaction")


def test_censoring(home: Homeserver, room_id: str, dropped: Dropped) -> None:
    event_id = home.send(room_id)
    home.redact(room_id, event_id)
    before = dropped(event_id, lambda: home.run(home.store._censor_redactions))
    assert b"m.text" in before.body
    assert b"m.text" not in home.fill(event_id).body


def test_expiry(home: Homeserver, room_id: str, dropped: Dropped) -> None:
    event_id = home.send(room_id)
    before = dropped(event_id, lambda: home.run(lambda: home.store.expire_event(event_id)))
    assert b"m.text" in before.body
    assert b"m.text" not in home.fill(event_id).body


def test_signing_anew(home: Homeserver, room_id: str) -> None:
    """Of every event of the homeserver: there is no bystander."""
    event_id = home.send(room_id)
    before = home.fill(event_id)
    sign_anew(home, "new1")
    assert home.held(event_id) != before
    home.fill(event_id)
    assert "ed25519:new1" in home.stored(event_id).signatures[NAME]


@pytest.mark.parametrize("rejects", [True, False])
def test_a_rejection_and_its_end(
    home: Homeserver, room_id: str, dropped: Dropped, rejects: bool
) -> None:
    made, context = make(home, room_id)
    context.rejected = None if rejects else RejectedReason.AUTH_ERROR
    persist(home, made, context)
    before = dropped(made.event_id, lambda: judge(home, made.event_id, rejects))
    assert before.rejected != rejects
    assert home.fill(made.event_id).rejected == rejects


@pytest.mark.parametrize("rejects", [True, False])
def test_a_rejection_of_a_redaction_and_its_end(
    home: Homeserver, room_id: str, dropped: Dropped, rejects: bool
) -> None:
    """As it came from another server: each read asks anew whether the redaction counts."""
    event_id = home.send(room_id)
    made, context = make(home, room_id, type=EventTypes.Redaction, redacts=event_id)
    made.internal_metadata.recheck_redaction = True
    persist(home, made, context)
    if not rejects:
        mark_rejected(home, made.event_id)
    before = dropped(event_id, lambda: judge(home, made.event_id, rejects))
    assert before.HasField("redaction") == rejects
    assert home.fill(event_id).HasField("redaction") != rejects


@pytest.mark.parametrize("rejects", [True, False])
def test_a_rejection_of_a_ban_with_redaction_and_its_end(
    home: Homeserver, room_id: str, dropped: Dropped, rejects: bool
) -> None:
    """MSC4293: all that the user sent is redacted if, and only if, the ban counts."""
    event_id = home.send(room_id)
    ban_id = home.member(room_id, ALICE, BOB, "ban", **REDACT_ALL)
    if not rejects:
        mark_rejected(home, ban_id)
    before = dropped(event_id, lambda: judge(home, ban_id, rejects))
    assert before.HasField("redaction") == rejects
    assert home.fill(event_id).HasField("redaction") != rejects


def test_an_outlier_that_is_none_any_longer(
    home: Homeserver, room_id: str, dropped: Dropped
) -> None:
    made, context = make(home, room_id)
    again = make_event_from_dict(made.get_pdu_json(), made.room_version)
    made.internal_metadata.outlier = True
    persist(home, made, EventContext.for_outlier(home.hs.get_storage_controllers()))
    dropped(made.event_id, lambda: persist(home, again, context))
    home.fill(made.event_id)
    assert not home.stored(made.event_id).internal_metadata.is_outlier()


@since("1.162.0")
def test_a_soft_failure_that_ends(home: Homeserver, room_id: str, dropped: Dropped) -> None:
    """MSC4354: a sticky event that was refused counts once the room's state allows it."""
    made, context = make(home, room_id)
    made.internal_metadata.soft_failed = True
    persist(home, made, context)
    dropped(
        made.event_id,
        lambda: home.run(
            lambda: home.store.db_pool.runInteraction(
                "test", home.store.un_soft_fail_sticky_events_txn, {made.event_id}
            )
        ),
    )
    home.fill(made.event_id)
    assert not home.stored(made.event_id).internal_metadata.is_soft_failed()


def test_a_ban_with_redaction(home: Homeserver, room_id: str, dropped: Dropped) -> None:
    event_id = home.send(room_id)
    before = dropped(event_id, lambda: home.member(room_id, ALICE, BOB, "ban", **REDACT_ALL))
    assert not before.HasField("redaction")
    assert home.fill(event_id).HasField("redaction")


def test_the_end_of_a_ban_with_redaction(home: Homeserver, room_id: str, dropped: Dropped) -> None:
    """Each kick moves the end, after which nothing is redacted, past what was sent since."""
    ban_for_a_while(home, room_id)
    event_id = home.send(room_id)
    before = dropped(event_id, lambda: home.member(room_id, ALICE, BOB, "kick"))
    assert not before.HasField("redaction")
    assert home.fill(event_id).HasField("redaction")


def test_a_purge_of_a_room(home: Homeserver, room_id: str, dropped: Dropped) -> None:
    event_id = home.send(room_id)
    purge = home.hs.get_storage_controllers().purge_events.purge_room
    dropped(event_id, lambda: home.run(lambda: purge(room_id)))
    assert home.held(event_id) is None
    assert home.stored(event_id) is None


# Before, Synapse purged its own users' events even if they were to be kept.
@pytest.mark.parametrize("keep", [True, False] if is_since("1.156.0") else [False])
def test_a_purge_of_history(home: Homeserver, room_id: str, dropped: Dropped, keep: bool) -> None:
    """What is kept of it becomes an outlier."""
    event_id, last = home.send(room_id), home.send(room_id)
    token = home.run(lambda: home.store.get_topological_token_for_event(last))
    text = home.run(lambda: token.to_string(home.store))
    dropped(event_id, lambda: home.run(lambda: home.store.purge_history(room_id, text, not keep)))
    if keep:
        home.fill(event_id)
        assert home.stored(event_id).internal_metadata.is_outlier()
    else:
        assert home.held(event_id) is None
        assert home.stored(event_id) is None


def test_an_invalidation_by_the_cache_itself(
    home: Homeserver, room_id: str, dropped: Dropped
) -> None:
    event_id = home.send(room_id)
    cache = home.store._get_event_cache
    dropped(event_id, lambda: home.run(lambda: cache.invalidate((event_id,))))
    home.fill(event_id)
    cache.clear()
    home.run_until(lambda: home.held(event_id) is None)


def test_a_new_event_is_not_announced(home: Homeserver, room_id: str) -> None:
    before = announced()
    event_id = home.send(room_id)
    assert announced() == before
    # It counts what is announced.
    home.redact(room_id, event_id)
    assert announced() == before + 1


def announced() -> float:
    """How many calls have told the sidecar of a change."""
    name = "splitcache_bridge_announcements_total"
    kinds = ({"kind": kind, "server_name": NAME, "outcome": "ok"} for kind in ("events", "room"))
    return sum(REGISTRY.get_sample_value(name, labels) or 0.0 for labels in kinds)
