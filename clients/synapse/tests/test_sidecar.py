"""Lookups, fills and announcements against a real sidecar, over real sockets."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from client_support.sidecar_process import SidecarProcess
from splitcache_client.breaker import FAILURES_TO_OPEN
from splitcache_client.channel import Channels
from splitcache_client.gen import event_cache_service_pb2 as pb
from splitcache_client.lookups import REQUESTS_MAX, Lookup
from splitcache_client.outbox_rules import REPLY_AGE_MAX_S
from splitcache_client.read_stream import LookupFailed
from splitcache_client.relay import Relay
from splitcache_synapse.metrics import BridgeMetrics
from tests.bridge import HOME, Bridge, event, fills, requests
from tests.swallower import Swallower

Start = Callable[[str], SidecarProcess]


@pytest.fixture
def bridge(address: str, tmp_path: Path) -> Iterator[Bridge]:
    bridge = Bridge(address, tmp_path).ready()
    yield bridge
    bridge.stop()


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "unix:{}/s.sock"])
def test_finds_what_it_put_and_asks_no_proxy(
    listen: str, tmp_path: Path, start_sidecar: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        # Nobody listens there.
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    bridge = Bridge(start_sidecar(listen.format(tmp_path)).address, tmp_path).ready()
    assert bridge.look("$a", "$b").hits == {}
    bridge.fill("$a")
    found = bridge.look("$a", "$b")
    assert found.hits == {"$a": event("$a")}
    assert found.position is not None
    bridge.stop()


def test_lookups_of_one_turn_go_as_one_and_each_gets_its_own(bridge: Bridge) -> None:
    bridge.fill("$a", "$b", "$c")
    before = requests()
    results: list[Any] = []
    for wanted in (["$a"], ["$b", "$a"], ["$missing"]):
        bridge.sidecar.lookup(wanted).addCallback(results.append)
    bridge.reactor.run_until(lambda: len(results) == 3)
    assert [sorted(one.hits) for one in results] == [["$a"], ["$a", "$b"], []]
    assert requests() == before + 1


def test_asks_again_for_what_did_not_fit_and_splits_what_is_too_much(bridge: Bridge) -> None:
    large = [f"$large{n}" for n in range(20)]
    position = bridge.look(*large).position
    bridge.sidecar.put([event(one, 250_000) for one in large], position)
    many = [f"$small{n}" for n in range(1_200)]
    bridge.sidecar.put([event(one) for one in many], bridge.look(*many).position)
    bridge.reactor.run_until(lambda: len(bridge.look(*large, *many).hits) == 1_220)


@pytest.mark.parametrize("room", [False, True])
def test_announced_changes_are_gone_and_fence_what_was_read_before(
    bridge: Bridge, room: bool
) -> None:
    bridge.fill("$a", "$other")
    before = bridge.look("$a", "$b").position
    bridge.announce("$a", room=room)
    assert set(bridge.look("$a", "$other").hits) == (set() if room else {"$other"})
    bridge.sidecar.put([event("$a")], before)
    fenced = fills("fenced")
    bridge.sidecar.put([event("$a")], before)
    bridge.reactor.run_until(lambda: fills("fenced") >= fenced + 1)
    assert "$a" not in bridge.look("$a").hits


def test_a_local_invalidation_takes_the_event_out_of_lookups_under_way(bridge: Bridge) -> None:
    bridge.fill("$a", "$b")
    lookup = bridge.transport.lookup
    for event_id, left in (("$a", {"$b"}), (None, set())):

        def asked(*args: Any, event_id: str | None = event_id) -> None:
            lookup(*args)
            bridge.sidecar.invalidated(event_id)

        bridge.transport.lookup = asked  # type: ignore[method-assign]
        assert set(bridge.look("$a", "$b").hits) == left
    bridge.transport.lookup = lookup  # type: ignore[method-assign]
    assert set(bridge.look("$a", "$b").hits) == {"$a", "$b"}


@pytest.mark.parametrize("room", [False, True])
def test_homeservers_of_one_sidecar_do_not_see_each_others_changes(
    address: str, room: bool, tmp_path: Path
) -> None:
    alpha = Bridge(address, tmp_path).ready()
    beta = Bridge(address, tmp_path, homeserver="beta.example").ready()
    assert beta.look("$a").hits == {}
    alpha.fill("$a")
    # What one has put is nothing to the other.
    assert beta.look("$a").hits == {}
    beta.fill("$a")
    alpha.announce("$a", room=room)
    assert alpha.look("$a").hits == {}
    assert set(beta.look("$a").hits) == {"$a"}
    alpha.stop()
    beta.stop()


def test_misses_at_once_when_nobody_answers(tmp_path: Path) -> None:
    bridge = Bridge(f"unix:{tmp_path}/nobody.sock", tmp_path)
    found = bridge.look("$a")
    assert found.hits == {}
    assert found.position is None
    bridge.stop()


def test_what_a_caller_invalidates_when_it_is_answered_is_no_hit_to_the_next(
    bridge: Bridge,
) -> None:
    bridge.fill("$a", "$b")
    found: list[Any] = []
    first = bridge.sidecar.lookup(["$a"])
    first.addCallback(lambda _: bridge.sidecar.invalidated("$b"))
    bridge.sidecar.lookup(["$a", "$b"]).addCallback(found.append)
    bridge.reactor.run_until(lambda: bool(found))
    assert set(found[0].hits) == {"$a"}


def test_what_is_asked_for_after_an_invalidation_is_found(bridge: Bridge) -> None:
    many = [f"$small{n}" for n in range(300)]
    bridge.fill(*many)
    lookup = bridge.transport.lookup
    asked: list[int] = []

    def invalidating(*args: Any) -> None:
        lookup(*args)
        asked.append(1)
        if len(asked) == 2:
            bridge.sidecar.invalidated(None)

    bridge.transport.lookup = invalidating  # type: ignore[method-assign]
    assert set(bridge.look(*many).hits) == set(many[200:])


def test_small_lookups_do_not_wait_for_a_large_one_of_their_turn(bridge: Bridge) -> None:
    many = [f"$small{n}" for n in range(500)]
    bridge.fill(*many)
    order: list[str] = []
    bridge.sidecar.lookup(many).addCallback(lambda _: order.append("large"))
    bridge.sidecar.lookup(["$small1"]).addCallback(lambda _: order.append("small"))
    bridge.sidecar.lookup(["$small2"]).addCallback(lambda _: order.append("small"))
    bridge.reactor.run_until(lambda: len(order) == 3)
    assert order == ["small", "small", "large"]


def test_a_reply_that_the_reactor_was_too_busy_to_take_is_none_too_late(bridge: Bridge) -> None:
    bridge.fill("$a")
    bridge.sidecar._read_deadline_s = 0.02
    found: list[Any] = []
    bridge.sidecar.lookup(["$a"]).addCallback(found.append)
    lookup = bridge.transport.lookup

    def busy(*args: Any) -> None:
        lookup(*args)
        # As a reactor that decodes another one's reply: the timer is due before it turns again.
        time.sleep(0.1)

    bridge.transport.lookup = busy  # type: ignore[method-assign]
    bridge.reactor.run_until(lambda: bool(found))
    assert set(found[0].hits) == {"$a"}


def test_ends_a_lookup_whose_later_request_cannot_be_sent(bridge: Bridge) -> None:
    many = [f"$small{n}" for n in range(300)]
    bridge.fill(*many)
    lookup = bridge.transport.lookup
    asked: list[int] = []

    def breaking(*args: Any) -> None:
        asked.append(1)
        if len(asked) == 2:
            raise ValueError("closed")
        lookup(*args)

    bridge.transport.lookup = breaking  # type: ignore[method-assign]
    assert set(bridge.look(*many).hits) == set(many[:100])
    assert not bridge.sidecar._rounds


def test_a_lookup_of_thousands_goes_in_a_few_requests_at_once(bridge: Bridge) -> None:
    many = [f"$small{n}" for n in range(1_000)]
    bridge.fill(*many)
    lookup = bridge.transport.lookup
    under_way: list[int] = []
    asked: list[int] = []
    at_once: list[int] = []

    def watched(request: Any, timeout_s: float, on_done: Any) -> None:
        def done(reply: Any) -> None:
            under_way.pop()
            on_done(reply)

        under_way.append(1)
        asked.append(len(request.event_ids))
        at_once.append(len(under_way))
        lookup(request, timeout_s, done)

    bridge.transport.lookup = watched  # type: ignore[method-assign]
    assert len(bridge.look(*many).hits) == 1_000
    assert asked == [100] * 10
    assert 1 < max(at_once) == REQUESTS_MAX


def test_a_long_lookup_of_a_process_that_has_just_started_uses_its_first_replies(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """O6: they are too old when the last reply comes, so they are used as what is kept is. Nothing
    but the lookup itself proves that it may: no position was requested since the gate opened."""
    many = [f"$small{n}" for n in range(300)]
    bridge.fill(*many)
    unary, lookup = bridge.transport.unary, bridge.transport.lookup

    def without_positions(method: str, *of: Any) -> None:
        if method != "GetEvents":
            unary(method, *of)

    monkeypatch.setattr(bridge.transport, "unary", without_positions)
    bridge.reactor.run_until(lambda: not bridge.sidecar.may_use_kept())
    held_back: list[Any] = []
    answered: list[Any] = []

    def third_waits(request: Any, timeout_s: float, on_done: Any) -> None:
        if many[299] in request.event_ids:
            held_back.append(lambda: lookup(request, timeout_s, on_done))
        else:
            lookup(request, timeout_s, lambda reply: (on_done(reply), answered.append(reply)))

    monkeypatch.setattr(bridge.transport, "lookup", third_waits)
    found: list[Any] = []
    bridge.sidecar.lookup(many).addCallback(found.append)
    bridge.reactor.run_until(lambda: len(answered) == 2)
    now = bridge.sidecar._monotonic
    monkeypatch.setattr(bridge.sidecar, "_monotonic", lambda: now() + REPLY_AGE_MAX_S)
    held_back[0]()
    bridge.reactor.run_until(lambda: bool(found))
    assert set(found[0].hits) == set(many)


def test_says_what_it_misses_while_the_rest_of_a_lookup_is_under_way(bridge: Bridge) -> None:
    many = [f"$small{n}" for n in range(300)]
    bridge.fill(*many[:50], *many[200:])
    held_back: list[Any] = []
    lookup = bridge.transport.lookup

    def second_waits(request: Any, timeout_s: float, on_done: Any) -> None:
        if many[150] in request.event_ids:
            held_back.append(lambda: lookup(request, timeout_s, on_done))
        else:
            lookup(request, timeout_s, on_done)

    bridge.transport.lookup = second_waits  # type: ignore[method-assign]
    missed: list[Any] = []
    found: list[Any] = []
    result = bridge.sidecar.lookup(many, lambda *of: missed.append(of))
    result.addCallback(found.append)
    bridge.reactor.run_until(lambda: bool(missed))
    assert not found
    ((event_ids, position),) = missed
    assert event_ids == set(many[50:100])
    held_back[0]()
    bridge.reactor.run_until(lambda: bool(found))
    assert set(found[0].hits) == {*many[:50], *many[200:]}
    # What is missed last is missed by the lookup itself.
    assert len(missed) == 1
    bridge.announce(many[60])
    fenced = fills("fenced")
    bridge.sidecar.put([event(many[60])], position)
    bridge.reactor.run_until(lambda: fills("fenced") == fenced + 1)


def test_a_request_that_fails_ends_its_lookup_which_keeps_what_came_before(
    bridge: Bridge,
) -> None:
    many = [f"$small{n}" for n in range(500)]
    bridge.fill(*many)
    lookup = bridge.transport.lookup
    asked: list[int] = []

    def third_fails(request: Any, timeout_s: float, on_done: Any) -> None:
        asked.append(len(request.event_ids))
        if len(asked) == 3:
            on_done(LookupFailed("deadline"))
        else:
            lookup(request, timeout_s, on_done)

    bridge.transport.lookup = third_fails  # type: ignore[method-assign]
    found = bridge.look(*many)
    assert set(found.hits) == set(many[:200])
    assert len(asked) == 3
    # What is missing may be put: the position is from before the database is read.
    assert found.position is not None
    bridge.announce(many[499])
    fenced = fills("fenced")
    bridge.sidecar.put([event(many[499])], found.position)
    bridge.reactor.run_until(lambda: fills("fenced") == fenced + 1)


@pytest.mark.parametrize(
    ("kind", "opens"),
    [
        ("deadline", True),
        ("unavailable", True),
        ("denied", True),
        ("busy", False),
        ("refused", False),
    ],
)
def test_only_a_sidecar_in_trouble_is_left_alone(bridge: Bridge, kind: str, opens: bool) -> None:
    asked: list[Any] = []

    def failing(request: Any, timeout_s: float, on_done: Any) -> None:
        asked.append(request)
        on_done(LookupFailed(kind))

    bridge.transport.lookup = failing  # type: ignore[method-assign]
    for _ in range(FAILURES_TO_OPEN):
        bridge.look("$a")
    asked.clear()
    bridge.look("$a")
    assert (not asked) == opens


def test_a_request_that_the_sidecar_refuses_is_told_from_trouble(bridge: Bridge) -> None:
    outcomes: list[Any] = []
    request = pb.GetEventsRequest(homeserver="x" * 300)
    bridge.transport.lookup(request, 5.0, outcomes.append)
    bridge.reactor.run_until(lambda: bool(outcomes))
    assert isinstance(outcomes[0], LookupFailed)
    assert not outcomes[0].is_unavailable


def test_comes_back_when_its_connection_swallows_everything(
    start_sidecar: Start, tmp_path: Path
) -> None:
    sidecar = start_sidecar("127.0.0.1:0")
    with Swallower(sidecar.address) as between:
        writer = Bridge(between.address, tmp_path).ready()
        writer.fill("$a")
        between.swallow()
        writer.reactor.run_until(lambda: set(writer.look("$a").hits) == {"$a"})
        writer.announce("$a")
        writer.stop()


def test_the_relay_comes_back_when_its_connection_swallows_everything(
    start_sidecar: Start,
) -> None:
    with Swallower(start_sidecar("127.0.0.1:0").address) as swallower:
        relay = Relay(Channels(swallower.address), HOME, BridgeMetrics(HOME))
        relay.start()
        relayed: queue.SimpleQueue[Any] = queue.SimpleQueue()

        def purge() -> Any:
            relay.purge(relayed.put)
            return relayed.get(timeout=10)

        assert purge() is not None
        swallower.swallow()
        assert purge() is None
        assert purge() is not None
        relay.stop()


def test_looks_up_the_others_beside_an_id_that_no_sidecar_takes(bridge: Bridge) -> None:
    bridge.fill("$a")
    found = bridge.look("$a", "", "$" + "x" * 1020, "$\ud800")
    assert set(found.hits) == {"$a"}
    assert found.position is not None
    assert bridge.look("").hits == {}


def test_answers_all_callers_when_a_lookup_cannot_be_sent(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    bridge.fill("$a")

    def broken(*args: object) -> None:
        raise ValueError("closed")

    monkeypatch.setattr(bridge.transport, "lookup", broken)
    assert bridge.look("$a") == Lookup({}, frozenset(), None, {})
    assert not bridge.sidecar._rounds
