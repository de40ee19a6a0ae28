"""What a process has stored is in the sidecar before anybody reads it, and never outdated."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import REGISTRY
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from splitcache_client.gen import event_cache_service_pb2 as pb
from splitcache_synapse.metrics import BridgeMetrics
from splitcache_synapse.read_back import EVENTS_MAX, PUT_TIMEOUT_S, WAITING_MAX, ReadBack
from tests.homeserver import NAME, Homeserver
from tests.loop_reactor import PATIENCE_S
from tests.test_reads import forget

AS_OF = pb.Position(epoch=b"e" * 16, sequence=1)


@pytest.fixture(autouse=True)
def ready(home: Homeserver) -> Iterator[None]:
    """The module knows a position, and fills."""
    position = home.module._sidecar.position
    home.run_until(lambda: bool(position() and home.module._sidecar.takes(position())))
    yield
    # Of other tests, in other rooms.
    home.run_until(lambda: not home.module._read_back._is_running)


def test_a_new_event_is_a_hit_before_anybody_has_read_it(home: Homeserver, room_id: str) -> None:
    event_id = home.send(room_id)
    home.run_until(lambda: home.held(event_id) is not None)
    read_back = home.held(event_id)
    forget(home, event_id)
    assert home.fill(event_id) == read_back


def test_what_a_transaction_stores_together_is_a_hit_redactions_and_state_as_well(
    home: Homeserver, room_id: str
) -> None:
    event_id = home.send(room_id)
    redaction_id = home.redact(room_id, event_id)
    state = home.run(lambda: home.store.get_partial_current_state_ids(room_id))
    home.run_until(lambda: all(home.held(one) for one in (redaction_id, *state.values())))
    assert not stale(home, event_id)


def test_reading_back_leaves_synapses_own_caches_alone(
    home: Homeserver, room_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read may be older than an invalidation that has come meanwhile."""
    enqueue = home.store._enqueue_events
    read: list[Any] = []

    async def watched(event_ids: Any) -> Any:
        rows = await enqueue(event_ids)
        for event_id in event_ids:
            home.store._invalidate_local_get_event_cache(event_id)
        read.extend(event_ids)
        return rows

    monkeypatch.setattr(home.store, "_enqueue_events", watched)
    event_id = home.send(room_id)
    home.run_until(lambda: home.held(event_id) is not None)
    assert event_id in read
    assert home.store._get_event_cache._lru_cache.get((event_id,), None) is None
    assert event_id not in home.store._event_ref


@pytest.mark.parametrize("attempts", [1, 2])
def test_a_change_that_is_announced_since_the_transaction_began_fences_what_is_put(
    home: Homeserver, room_id: str, monkeypatch: pytest.MonkeyPatch, attempts: int
) -> None:
    """Since its first attempt: its COMMIT may have taken effect, though nobody was told."""
    invalidate = home.store.invalidate_get_event_cache_after_txn
    event_ids: list[str] = []

    def announced_meanwhile(txn: Any, event_id: str) -> None:
        invalidate(txn, event_id)
        event_ids.append(event_id)
        if len(event_ids) == 1:
            announce(home, event_id)
        if len(event_ids) < attempts:
            raise sqlite3.OperationalError("the connection is gone")

    monkeypatch.setattr(home.store, "invalidate_get_event_cache_after_txn", announced_meanwhile)
    fenced = counted("fills", "fenced")
    event_id = home.send(room_id)
    assert event_ids == [event_id] * attempts
    home.run_until(lambda: counted("fills", "fenced") == fenced + 1)
    assert home.held(event_id) is None
    assert home.fill(event_id).event_id == event_id


def announce(home: Homeserver, event_id: str) -> None:
    """As another process may. Until the module has heard of it, in a thread of the database."""
    replies: list[Any] = []
    request = pb.InvalidateEventsRequest(homeserver=NAME, event_ids=[event_id])
    home._direct.unary("InvalidateEvents", request, 5.0, replies.append)
    deadline = time.monotonic() + PATIENCE_S
    while home.module._near.applied < replies[0].position.sequence:
        assert time.monotonic() < deadline


@pytest.mark.parametrize("change", ["redact", "reject"])
def test_a_later_change_is_not_undone_by_a_put_that_is_late(
    home: Homeserver, room_id: str, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    put = home.module._sidecar.put
    held_back: list[Callable[[], None]] = []
    monkeypatch.setattr(home.module._sidecar, "put", lambda *of: held_back.append(lambda: put(*of)))
    event_id = home.send(room_id)
    home.run_until(lambda: bool(held_back))
    if change == "redact":
        home.redact(room_id, event_id)
    else:
        home.run(
            lambda: home.store.db_pool.runInteraction(
                "reject", home.store.mark_event_rejected_txn, event_id, "it is bad"
            )
        )
    monkeypatch.undo()
    fenced = counted("fills", "fenced")
    held_back[0]()
    home.run_until(lambda: counted("fills", "fenced") > fenced)
    assert home.held(event_id) is None


def test_without_a_position_from_before_nothing_is_put_nor_read(
    home: Homeserver, room_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(home.module._writes, "_position", lambda: None)
    not_put = counted("new_events", "not_put")
    event_id = home.send(room_id)
    assert counted("new_events", "not_put") == not_put + 1
    assert not home.module._read_back._is_running
    assert home.held(event_id) is None


def test_while_the_gate_is_closed_nothing_is_put_nor_read(
    home: Homeserver, room_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    event_id = home.send(room_id)
    home.run_until(lambda: home.held(event_id) is not None)
    monkeypatch.setattr(home.module._outbox._rules, "is_open", lambda now: False)
    enqueue = home.store._enqueue_events
    fetched: list[str] = []

    async def watched(event_ids: Any) -> Any:
        fetched.extend(event_ids)
        return await enqueue(event_ids)

    monkeypatch.setattr(home.store, "_enqueue_events", watched)
    not_put = counted("new_events", "not_put")
    event_id = home.send(room_id)
    home.run_until(lambda: counted("new_events", "not_put") == not_put + 1)
    assert event_id not in fetched


def test_a_persist_waits_neither_for_the_database_nor_for_the_sidecar(
    home: Homeserver, room_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_back: list[Any] = []
    monkeypatch.setattr(home.module._sidecar, "put", lambda *of: held_back.append(of))
    home.send(room_id)
    home.run_until(lambda: bool(held_back))
    # The first is never put, and what comes after it waits.
    later = [home.send(room_id) for _ in range(3)]
    assert len(held_back) == 1
    monkeypatch.undo()
    held_back[0][2]()
    home.run_until(lambda: all(home.held(one) for one in later))


def test_goes_on_after_a_read_that_failed(
    home: Homeserver, room_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(event_ids: Any) -> Any:
        raise RuntimeError("the database is gone")

    failed = counted("new_events", "failed")
    with monkeypatch.context() as broken:
        broken.setattr(home.store, "_enqueue_events", fails)
        unread = home.send(room_id)
        home.run_until(lambda: counted("new_events", "failed") == failed + 1)
    event_id = home.send(room_id)
    home.run_until(lambda: home.held(event_id) is not None)
    assert home.held(unread) is None


class _Queue:
    """A ReadBack whose reactor does not turn."""

    def __init__(self) -> None:
        self.booked: list[Any] = []
        # What was put, with its position, and what is to be called when that is done.
        self.put: list[tuple[list[str], pb.Position]] = []
        self.done: list[Any] = []
        self.queue = ReadBack(
            store=None,
            sidecar=SimpleNamespace(  # type: ignore[arg-type]
                takes=lambda as_of: True, put=self._put
            ),
            reactor=SimpleNamespace(callLater=lambda *of: self.booked.append(of)),
            metrics=BridgeMetrics(NAME),
            run_in_background=lambda *of: None,
        )
        self.queue._read = self._read

    async def _read(self, event_ids: Any) -> dict[str, Any]:
        if "$bad" in event_ids:
            raise ValueError("it cannot be parsed")
        return {one: one for one in event_ids}

    def _put(self, entries: Any, as_of: pb.Position, on_done: Any) -> None:
        self.put.append((entries, as_of))
        self.done.append(on_done)


def test_an_event_that_cannot_be_read_costs_its_own_transaction_alone() -> None:
    made = _Queue()
    made.queue._reactor = Clock()
    later = pb.Position(epoch=AS_OF.epoch, sequence=5)
    for event_ids, as_of in ((["$a"], AS_OF), (["$bad", "$b"], later), (["$c"], later)):
        made.queue.stored(event_ids, as_of)
    failed = counted("new_events", "failed")
    running = Deferred.fromCoroutine(made.queue._run())
    for done in made.done:
        done()
    assert running.called
    assert made.put == [(["$a"], AS_OF), (["$c"], later)]
    assert counted("new_events", "failed") == failed + 2


def test_goes_on_after_a_put_that_is_never_done() -> None:
    made, clock = _Queue(), Clock()
    made.queue._reactor = clock
    made.queue.stored(["$a"], AS_OF)
    running = Deferred.fromCoroutine(made.queue._run())
    made.queue.stored(["$b"], AS_OF)
    assert len(made.put) == 1
    clock.advance(PUT_TIMEOUT_S)
    assert len(made.put) == 2
    # Late, the first is done; and the second.
    for done in made.done:
        done()
    assert running.called


def test_drops_and_counts_what_is_too_much() -> None:
    made = _Queue()
    dropped = counted("new_events", "dropped")
    for number in range(WAITING_MAX // 100):
        made.queue.stored([f"${number}-{n}" for n in range(100)], AS_OF)
    assert counted("new_events", "dropped") == dropped
    made.queue.stored(["$a", "$b"], AS_OF)
    assert counted("new_events", "dropped") == dropped + 2
    assert len(made.booked) == 1
    # There is room again for what has been taken out.
    made.queue._next()
    made.queue.stored(["$a", "$b"], AS_OF)
    assert counted("new_events", "dropped") == dropped + 2


def test_reads_what_waits_together_up_to_a_bound_and_of_one_epoch() -> None:
    made = _Queue()
    later = pb.Position(epoch=AS_OF.epoch, sequence=5)
    of_another_epoch = pb.Position(epoch=b"f" * 16, sequence=0)
    made.queue.stored(["$a"], later)
    made.queue.stored(["$b"], AS_OF)
    made.queue.stored(["$b2"], later)
    made.queue.stored(["$c"], of_another_epoch)
    many = [f"${n}" for n in range(EVENTS_MAX + 1)]
    made.queue.stored(many, later)
    assert made.queue._next() == [(["$a"], later), (["$b"], AS_OF), (["$b2"], later)]
    assert made.queue._next() == [(["$c"], of_another_epoch)]
    assert made.queue._next() == [(many[:-1], later)]
    assert made.queue._next() == [(many[-1:], later)]
    assert made.queue._waiting_events == 0


def stale(home: Homeserver, event_id: str) -> bool:
    """Whether the sidecar serves a redacted event as if it were not."""
    found = home.held(event_id)
    return found is not None and not found.HasField("redaction")


def counted(what: str, outcome: str) -> float:
    labels = {"server_name": NAME, "outcome": outcome}
    return REGISTRY.get_sample_value(f"splitcache_bridge_{what}_total", labels) or 0.0
