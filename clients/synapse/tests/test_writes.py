"""Each way in which Synapse changes a stored event reaches a real sidecar.

Synapse's own code changes its own database. What the sidecar held of the event before must be
gone once that code has returned; what is read then is the event as it is now.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from prometheus_client import REGISTRY
from signedjson.key import generate_signing_key
from synapse.api.constants import EventTypes, RejectedReason
from synapse.events import make_event_from_dict
from synapse.events.snapshot import EventContext
from synapse.storage.database import LoggingDatabaseConnection
from synapse.types import create_requester
from twisted.internet.defer import Deferred

from splitcache_synapse.gen import event_cache_service_pb2 as pb
from tests.conftest import SidecarProcess
from tests.homeserver import ALICE, BOB, NAME, Homeserver, message

REDACT_ALL = {"org.matrix.msc4293.redact_events": True}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Homeserver]:
    """One for all: each test has a room of its own."""
    folder = tmp_path_factory.mktemp("homeserver")
    sidecar = SidecarProcess(f"unix:{folder}/s.sock")
    home = Homeserver(folder, sidecar.address)
    yield home
    home.stop()
    sidecar.stop()


@pytest.fixture(scope="module")
def bystander(home: Homeserver) -> str:
    """An event of another room that nothing changes."""
    return home.send(home.room())


@pytest.fixture
def room_id(home: Homeserver) -> str:
    return home.room()


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


@pytest.mark.parametrize("keep", [True, False])
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


def ban(home: Homeserver, room_id: str, event_id: str) -> None:
    home.member(room_id, ALICE, BOB, "ban", **REDACT_ALL)


def kick(home: Homeserver, room_id: str, event_id: str) -> None:
    home.member(room_id, ALICE, BOB, "kick")


def expire(home: Homeserver, room_id: str, event_id: str) -> None:
    home.run(lambda: home.store.expire_event(event_id))


def resign(home: Homeserver, room_id: str, event_id: str) -> None:
    sign_anew(home, "new2")


@pytest.mark.parametrize("change", [expire, resign, ban, kick])
def test_a_change_commits_with_its_row_of_the_outbox(
    home: Homeserver,
    room_id: str,
    change: Callable[[Homeserver, str, str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """O1: or a process that dies after COMMIT would leave nothing behind that says so."""
    ban_for_a_while(home, room_id)
    event_id = home.send(room_id)
    commit = LoggingDatabaseConnection.commit
    appeared: list[set[str]] = []

    def looking(connection: LoggingDatabaseConnection) -> None:
        before = outbox(home)
        commit(connection)
        appeared.append(outbox(home) - before)

    monkeypatch.setattr(LoggingDatabaseConnection, "commit", looking)
    change(home, room_id, event_id)
    # Signing anew takes several transactions.
    assert {len(rows) for rows in appeared if rows} == {1}
    # The write has returned, so it was announced, and that deleted.
    assert outbox(home) == set()


def test_a_transaction_that_cannot_note_what_it_owes_fails(
    home: Homeserver, room_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    event_id = home.send(room_id)
    execute = home.store.db_pool.execute
    rename = "ALTER TABLE {} RENAME TO {}"
    home.run(lambda: execute("test", rename.format("splitcache_outbox", "elsewhere")))
    try:
        with pytest.raises(sqlite3.OperationalError):
            home.redact(room_id, event_id)
    finally:
        home.run(lambda: execute("test", rename.format("elsewhere", "splitcache_outbox")))
    assert "what it owes cannot be noted" in caplog.text
    assert "redacted_because" not in home.stored(event_id).unsigned
    assert home.stored(event_id).internal_metadata.is_redacted() is False


def test_an_attempt_whose_outcome_is_not_known_leaves_its_row(
    home: Homeserver, room_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """O2: Synapse tries again; only what is known to have been committed is deleted. The other
    row is relayed, and then deleted."""
    event_id = home.send(room_id)
    home.fill(event_id)
    commit = LoggingDatabaseConnection.commit
    commits: list[set[str]] = []

    def lost(connection: LoggingDatabaseConnection) -> None:
        before = outbox(home)
        commit(connection)
        commits.append(outbox(home) - before)
        if len(commits) == 1:
            raise sqlite3.OperationalError("the connection broke; nobody knows")

    def change(txn: Any) -> None:
        home.store.invalidate_get_event_cache_after_txn(txn, event_id)

    monkeypatch.setattr(LoggingDatabaseConnection, "commit", lost)
    home.run(lambda: home.store.db_pool.runInteraction("test", change))
    first, second = commits
    assert first
    assert second
    assert first != second
    assert outbox(home) == first
    home.run_until(lambda: outbox(home) == set())


def outbox(home: Homeserver) -> set[str]:
    connection = sqlite3.connect(home.database)
    rows = {row for (row,) in connection.execute("SELECT id FROM splitcache_outbox")}
    connection.close()
    return rows


class _Held:
    """Keeps back the calls that tell the sidecar of changes."""

    immediate = False

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self.calls: list[Callable[[], None]] = []

    def unary(self, method: str, *args: Any) -> None:
        call = partial(self._transport.unary, method, *args)
        if method in ("InvalidateEvents", "PurgeRoom"):
            self.calls.append(call)
        else:
            call()


@pytest.mark.parametrize("change", [expire, resign, ban, kick])
def test_a_change_ends_once_it_is_announced(
    home: Homeserver,
    room_id: str,
    change: Callable[[Homeserver, str, str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Or a read that begins when the write has been answered could find the event as it was."""
    # Without it a kick ends nothing, and announces nothing.
    ban_for_a_while(home, room_id)
    event_id = home.send(room_id)
    held = _Held(home.module._announcer._transport)
    iterate, turns = home.reactor.iterate, 0

    def turn(delay: float) -> None:
        nonlocal turns
        iterate(delay)
        turns += bool(held.calls)
        # Enough for all that does not wait for the announcement.
        while turns > 100 and held.calls:
            held.calls.pop()()

    monkeypatch.setattr(home.module._announcer, "_transport", held)
    monkeypatch.setattr(home.reactor, "iterate", turn)
    change(home, room_id, event_id)
    assert turns > 100
    assert not held.calls


@pytest.mark.parametrize("of_room", [False, True])
def test_a_local_invalidation_is_not_undone_by_a_lookup_under_way(
    home: Homeserver, room_id: str, of_room: bool
) -> None:
    event_id = home.send(room_id)
    home.fill(event_id)
    lookup = home.module._sidecar._transport.lookup
    asked: list[Any] = []

    def watched(*args: Any) -> None:
        lookup(*args)
        asked.append(args)

    home.module._sidecar._transport.lookup = watched
    under_way = Deferred.fromCoroutine(home.store._get_events_from_external_cache([event_id]))
    home.reactor.iterate(0)
    assert asked
    assert not under_way.called
    if of_room:
        home.store._invalidate_local_get_event_cache_room_id(room_id)
    else:
        home.store._invalidate_local_get_event_cache(event_id)

    async def found() -> Any:
        return await under_way

    assert home.run(found) == {}
    assert home.held(event_id) is not None


def test_a_reader_is_answered_however_late_the_reactor_is(
    home: Homeserver, room_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reply and the deadline of a lookup are there at the same turn of the reactor."""
    event_id = home.send(room_id)
    home.fill(event_id)
    transport = home.module._sidecar._transport
    lookup = transport.lookup

    def late(*args: Any) -> None:
        lookup(*args)
        # As a result of the database whose handling takes long.
        home.reactor.callFromThread(time.sleep, 0.06)

    monkeypatch.setattr(home.module._sidecar, "_read_deadline_s", 0.02)
    monkeypatch.setattr(transport, "lookup", late)
    stuck = lookup_errors("stuck")
    for _ in range(20):
        assert home.stored(event_id).event_id == event_id
    assert lookup_errors("stuck") == stuck


def test_a_reader_is_answered_though_a_lookup_never_ends(
    home: Homeserver, room_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    event_id = home.send(room_id)
    home.fill(event_id)
    monkeypatch.setattr(home.module._sidecar, "_read_deadline_s", 0.02)
    monkeypatch.setattr(home.module._sidecar._transport, "lookup", lambda *args: None)
    stuck = lookup_errors("stuck")
    assert home.stored(event_id).event_id == event_id
    assert lookup_errors("stuck") == stuck + 1
    assert not home.module._sidecar._rounds


def test_what_is_kept_is_not_used_while_the_gate_is_closed_nor_dropped(
    home: Homeserver, room_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, unasked = home.send(room_id), home.send(room_id)
    for event_id in (asked, unasked):
        home.fill(event_id)
        home.run_until(home.module._sidecar.may_use_kept)
        # From the sidecar, which is all that is kept.
        assert home.stored(event_id).event_id == event_id
    fetched = database_reads(home, monkeypatch)

    def read(event_id: str) -> None:
        assert home.run(lambda: home.store.get_event(event_id)).event_id == event_id

    home.run_until(home.module._sidecar.may_use_kept)
    read(unasked)
    assert fetched == []
    with monkeypatch.context() as closed:
        closed.setattr(home.module._outbox._rules, "is_open", lambda now: False)
        read(unasked)
        assert fetched == [unasked]
        # Now it is what Synapse itself has read.
        read(unasked)
        assert fetched == [unasked]
    monkeypatch.setattr(home.module._sidecar._transport, "lookup", None)
    home.run_until(home.module._sidecar.may_use_kept)
    home.store._event_ref.pop(unasked, None)
    read(unasked)
    assert fetched == [unasked]


def test_what_is_kept_is_used_again_once_the_gate_is_open(
    home: Homeserver, room_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    event_id, another = home.send(room_id), home.send(room_id)
    for one in (another, event_id):
        home.fill(one)
    home.run_until(home.module._sidecar.may_use_kept)
    home.stored(event_id)
    home.run(lambda: home.store.get_event(another))
    fetched = database_reads(home, monkeypatch)
    with monkeypatch.context() as closed:
        closed.setattr(home.module._outbox._rules, "is_open", lambda now: False)
        home.run(lambda: home.store.get_event(another))
        for _ in range(300):
            home.reactor.iterate(0.005)
    home.run_until(home.module._sidecar.may_use_kept)
    # Nor is the sidecar asked again.
    monkeypatch.setattr(home.module._sidecar._transport, "lookup", None)
    assert home.run(lambda: home.store.get_event(event_id)).event_id == event_id
    assert fetched == [another]


def database_reads(home: Homeserver, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The events that are read from the database from now on."""
    fetched: list[str] = []
    fetch = home.module._reads._get_events_from_db

    async def watched(event_ids: Any) -> Any:
        fetched.extend(event_ids)
        return await fetch(event_ids)

    monkeypatch.setattr(home.module._reads, "_get_events_from_db", watched)
    return fetched


def test_another_process_hears_of_a_change_that_synapse_does_not_tell_it(
    home: Homeserver, room_id: str
) -> None:
    """As of a ban with redaction, or of censoring: what another process announces is dropped from
    Synapse's own caches, whoever read it there."""
    event_id = home.send(room_id)
    home.stored(event_id)
    held = home.store._get_event_cache._lru_cache
    assert held.get((event_id,), None) is not None
    request = pb.PurgeRoomRequest(homeserver=NAME, room_id=room_id)
    home._direct.unary("PurgeRoom", request, 5.0, lambda reply: None)
    home.run_until(lambda: held.get((event_id,), None) is None)


def lookup_errors(kind: str) -> float:
    labels = {"server_name": NAME, "kind": kind}
    return REGISTRY.get_sample_value("splitcache_bridge_errors_total", labels) or 0.0


def ban_for_a_while(home: Homeserver, room_id: str) -> None:
    home.member(room_id, ALICE, BOB, "ban", **REDACT_ALL)
    home.member(room_id, ALICE, BOB, "unban")
    home.member(room_id, BOB, BOB, "join")


def make(home: Homeserver, room_id: str, **more: Any) -> tuple[Any, Any]:
    """A message, or what `more` makes of it, that is not persisted yet, and its context."""

    async def made() -> tuple[Any, Any]:
        event, context = await home.hs.get_event_creation_handler().create_event(
            create_requester(BOB), {**message(room_id), **more}
        )
        return event, await context.persist(event)

    event, context = home.run(made)
    return event, context


def persist(home: Homeserver, event: Any, context: Any) -> None:
    persistence = home.hs.get_storage_controllers().persistence
    home.run(lambda: persistence.persist_event(event, context))


def mark_rejected(home: Homeserver, event_id: str) -> None:
    mark, reason = home.store.mark_event_rejected_txn, RejectedReason.AUTH_ERROR
    home.run(lambda: home.store.db_pool.runInteraction("test", mark, event_id, reason))


def judge(home: Homeserver, event_id: str, rejects: bool) -> None:
    """Accepts or rejects an event anew, as at the end of a join with partial state."""
    store, event = home.store, home.stored(event_id)
    row = {"room_id": event.room_id, "event_id": event_id}

    async def judged() -> None:
        context = await home.hs.get_state_handler().compute_event_context(event)
        context.rejected = RejectedReason.AUTH_ERROR if rejects else None
        await store.store_partial_state_room(event.room_id, {NAME}, 0, NAME)
        await store.db_pool.simple_insert("partial_state_events", row)
        await store.update_state_for_partial_state_event(event, context)
        await store.clear_partial_state_room(event.room_id)

    home.run(judged)


def sign_anew(home: Homeserver, version: str) -> None:
    """Runs the update in the background that follows upon a change of the key."""
    home.hs.signing_key = generate_signing_key(version)
    row = {"update_name": "event_resign", "progress_json": "{}"}
    home.run(lambda: home.store.db_pool.simple_insert("background_updates", row))
    home.run(lambda: home.store.db_pool.updates.run_background_updates(False))


def announced() -> float:
    """How many calls have told the sidecar of a change."""
    name = "splitcache_bridge_announcements_total"
    kinds = ({"kind": kind, "server_name": NAME, "outcome": "ok"} for kind in ("events", "room"))
    return sum(REGISTRY.get_sample_value(name, labels) or 0.0 for labels in kinds)
