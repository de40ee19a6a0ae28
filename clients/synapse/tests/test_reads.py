"""What Synapse reads through the sidecar, and what it keeps of that in its own caches."""

from __future__ import annotations

import time
from typing import Any

import pytest
from prometheus_client import REGISTRY
from synapse.logging.context import (
    SENTINEL_CONTEXT,
    LoggingContext,
    current_context,
    make_deferred_yieldable,
)
from twisted.internet.defer import Deferred

from splitcache_client.gen import event_cache_service_pb2 as pb
from splitcache_client.outbox_rules import REPLY_AGE_MAX_S
from tests.homeserver import NAME, Homeserver


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


class _LargeLookup:
    """A lookup of two requests, of which the second is not answered before it is released."""

    def __init__(self, home: Homeserver, monkeypatch: pytest.MonkeyPatch, *stored: str) -> None:
        self.event_ids = {*stored, *(f"$none{n}:{NAME}" for n in range(150))}
        self._home = home
        self._held_back: list[Any] = []
        transport = home.module._sidecar._transport
        lookup = transport.lookup
        asked: list[Any] = []

        def second_waits(*of: Any) -> None:
            asked.append(of)
            if len(asked) == 2:
                self._held_back.append(lambda: lookup(*of))
            else:
                lookup(*of)

        monkeypatch.setattr(transport, "lookup", second_waits)

    def begin(self) -> None:
        store = self._home.store

        async def read() -> Any:
            with LoggingContext(name="reader", server_name=NAME):
                return await store.get_unredacted_events_from_cache_or_db(self.event_ids)

        self._found = Deferred.fromCoroutine(read())

    def end(self) -> Any:
        self.answer()
        return self.found()

    def answer(self) -> None:
        self._held_back[0]()

    def found(self) -> Any:
        async def found() -> Any:
            return await self._found

        return self._home.run(found)


def test_what_misses_is_read_from_the_database_while_the_rest_is_under_way(
    home: Homeserver, room_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = [home.send(room_id) for _ in range(3)]
    forget(home, *stored)
    fetched = database_reads(home, monkeypatch)
    large = _LargeLookup(home, monkeypatch, *stored)
    large.begin()
    home.run_until(lambda: len(fetched) >= 100)
    assert len(fetched) == 100
    assert set(large.end()) == set(stored)
    # Each is read once, also what the database has not.
    assert sorted(fetched) == sorted(large.event_ids)
    # What was read is put, early or not.
    home.run_until(lambda: all(home.held(one) for one in stored))


@pytest.mark.parametrize("why", ["too old", "invalidated", "fresh"])
def test_hits_are_judged_again_after_the_wait_for_the_database(
    home: Homeserver, room_id: str, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    """O6: the database may take any time for what missed."""
    event_id = home.send(room_id)
    home.fill(event_id)
    # Or the sidecar would not be asked.
    home.store._invalidate_local_get_event_cache(event_id)
    fetched = database_reads(home, monkeypatch)
    fetch = home.module._reads._get_events_from_db
    waiting: Deferred[None] = Deferred()

    async def late(event_ids: Any) -> Any:
        if event_id not in event_ids:
            await make_deferred_yieldable(waiting)
        return await fetch(event_ids)

    monkeypatch.setattr(home.module._reads, "_get_events_from_db", late)
    large = _LargeLookup(home, monkeypatch, event_id)
    large.begin()
    sidecar = home.module._sidecar
    home.run_until(lambda: bool(large._held_back))
    large.answer()
    home.run_until(lambda: bool(sidecar._held))
    if why == "too old":
        now = sidecar._monotonic
        monkeypatch.setattr(sidecar, "_monotonic", lambda: now() + REPLY_AGE_MAX_S)
        monkeypatch.setattr(sidecar, "may_use_kept", lambda: False)
    elif why == "invalidated":
        home.store._invalidate_local_get_event_cache(event_id)
    waiting.callback(None)
    assert set(large.found()) == {event_id}
    assert (event_id in fetched) is (why != "fresh")
    assert not sidecar._held


def test_synapse_reads_itself_what_could_not_be_read_early(
    home: Homeserver, room_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = [home.send(room_id) for _ in range(3)]
    forget(home, *stored)
    fetch = home.module._reads._get_events_from_db
    fetched: list[Any] = []

    async def fails_once(event_ids: Any) -> Any:
        fetched.append(event_ids)
        if len(fetched) == 1:
            raise RuntimeError("the database is gone")
        return await fetch(event_ids)

    monkeypatch.setattr(home.module._reads, "_get_events_from_db", fails_once)
    large = _LargeLookup(home, monkeypatch, *stored)
    large.begin()
    home.run_until(lambda: bool(fetched))
    assert set(large.end()) == set(stored)


def test_an_early_read_is_the_readers_and_leaks_no_logging_context(
    home: Homeserver, room_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = home.send(room_id)
    forget(home, stored)
    fetch = home.module._reads._get_events_from_db
    contexts: list[str] = []

    async def watched(event_ids: Any) -> Any:
        contexts.append(str(current_context()))
        return await fetch(event_ids)

    monkeypatch.setattr(home.module._reads, "_get_events_from_db", watched)
    large = _LargeLookup(home, monkeypatch, stored)
    large.begin()
    home.run_until(lambda: bool(contexts))
    assert contexts == ["reader"]
    assert current_context() == SENTINEL_CONTEXT
    large.end()
    assert contexts == ["reader", "reader"]
    assert current_context() == SENTINEL_CONTEXT


def forget(home: Homeserver, *event_ids: str) -> None:
    """Has the events in no cache at all."""
    request = pb.InvalidateEventsRequest(homeserver=NAME, event_ids=event_ids)
    home._direct.unary("InvalidateEvents", request, 5.0, lambda reply: None)
    for event_id in event_ids:
        home.store._invalidate_local_get_event_cache(event_id)


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


def test_asking_for_the_readers_database_leaks_no_logging_context(home: Homeserver) -> None:
    """Synapse starts a module of a worker in a context of its own."""
    rules = home.module._outbox._rules
    rules.pool_showed("unknown")
    with LoggingContext(name="start", server_name=NAME):
        home.module._pool_generation.start()
    home.run_until(lambda: not rules.pool_is_unknown())
    contexts: list[Any] = []
    home.reactor.callLater(0, lambda: contexts.append(current_context()))
    home.run_until(lambda: bool(contexts))
    assert contexts == [SENTINEL_CONTEXT]


def lookup_errors(kind: str) -> float:
    labels = {"server_name": NAME, "kind": kind}
    return REGISTRY.get_sample_value("splitcache_bridge_errors_total", labels) or 0.0
