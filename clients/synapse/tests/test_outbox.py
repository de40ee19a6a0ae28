"""The outbox, a real sidecar and a database together: what one process leaves, others announce."""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from client_support.sidecar_process import SidecarProcess
from splitcache_client.outbox_poll import ROWS_MAX
from splitcache_client.outbox_rules import RELAY_AFTER_S, ROW_AGE_MAX_S
from splitcache_client.outbox_table import OutboxUnavailable
from tests.bridge import Bridge, event, sample

Start = Callable[[str], SidecarProcess]


def test_what_a_process_left_behind_is_relayed(address: str, start: Callable[..., Bridge]) -> None:
    bridge = start(address).ready()
    bridge.fill("$a", "$b")
    # As by a process that died after COMMIT.
    bridge.commit("$a")
    began = time.monotonic()
    bridge.reactor.run_until(lambda: set(bridge.look("$a", "$b").hits) == {"$b"})
    assert RELAY_AFTER_S - 1 < time.monotonic() - began < ROW_AGE_MAX_S
    bridge.reactor.run_until(lambda: bridge.rows() == [])
    assert set(bridge.look("$b").hits) == {"$b"}


def test_a_process_that_starts_reads_nothing_before_what_is_owed_is_announced(
    address: str, start: Callable[..., Bridge]
) -> None:
    first = start(address).ready()
    first.fill("$a", "$b")
    first.outbox.stop()
    first.outbox.thread.join(20)
    first.commit("$a")
    second = start(address)
    second.reactor.run_until(lambda: bool(second.look("$a", "$b").hits))
    assert set(second.look("$a", "$b").hits) == {"$b"}
    assert second.rows() == []


def test_an_announced_write_leaves_no_row(address: str, start: Callable[..., Bridge]) -> None:
    bridge = start(address).ready()
    bridge.fill("$a")
    bridge.announce("$a")
    assert bridge.rows() == []
    assert bridge.look("$a").hits == {}
    assert bridge.outbox.is_open()


def test_reads_nothing_while_the_database_does_not_answer(
    address: str, start: Callable[..., Bridge], monkeypatch: pytest.MonkeyPatch
) -> None:
    bridge = start(address).ready()
    bridge.fill("$a")

    def broken() -> Any:
        raise OutboxUnavailable("gone")

    monkeypatch.setattr(bridge.outbox._table, "poll", broken)
    bridge.reactor.run_until(lambda: bridge.look("$a").hits == {})
    assert sample("splitcache_bridge_gate_open") == 0
    monkeypatch.undo()
    bridge.reactor.run_until(lambda: set(bridge.look("$a").hits) == {"$a"})


def test_a_busy_reactor_neither_closes_the_gate_nor_stops_relaying(
    address: str, start: Callable[..., Bridge]
) -> None:
    bridge = start(address).ready()
    bridge.fill("$a")
    bridge.commit("$a")
    deadline = time.monotonic() + ROW_AGE_MAX_S
    while bridge.rows():
        # The reactor does not turn meanwhile.
        assert time.monotonic() < deadline
    assert bridge.outbox.is_open()


def test_a_restarted_sidecar_is_used_again_once_its_epoch_is_registered(
    tmp_path: Path, start_sidecar: Start, start: Callable[..., Bridge]
) -> None:
    listen = f"unix:{tmp_path}/s.sock"
    first = start_sidecar(listen)
    bridge = start(first.address).ready()
    bridge.fill("$a")
    old = bridge.look("$b").position
    first.stop()
    assert bridge.look("$a").hits == {}
    start_sidecar(listen)
    bridge.ready()
    assert bridge.look("$a").hits == {}
    # A position of the old epoch fills nothing.
    bridge.sidecar.put([event("$a")], old)
    bridge.fill("$c")
    assert set(bridge.look("$a", "$c").hits) == {"$c"}


def test_of_two_sidecars_without_a_common_log_one_is_used(
    tmp_path: Path, start_sidecar: Start, start: Callable[..., Bridge]
) -> None:
    one, other = start_sidecar(f"unix:{tmp_path}/1.sock"), start_sidecar(f"unix:{tmp_path}/2.sock")
    first = start(one.address).ready()
    first.fill("$a")
    before = first.rules.epoch
    # A process that reaches the other one, as during a rollout.
    second = start(other.address).ready()
    first.reactor.run_until(lambda: first.rules.epoch != before)
    second.fill("$a")
    assert first.look("$a").hits == {}
    assert first.rules.epoch == second.rules.epoch
    # Nor does the first one get it back.
    first.reactor.run_until(lambda: first.rules.epoch_to_replace(before, time.monotonic()) is None)
    second.announce("$a")
    assert second.look("$a").hits == {}


def test_a_sidecar_whose_epoch_was_replaced_is_used_again_when_it_is_the_last(
    tmp_path: Path, start_sidecar: Start, start: Callable[..., Bridge]
) -> None:
    one, other = start_sidecar(f"unix:{tmp_path}/1.sock"), start_sidecar(f"unix:{tmp_path}/2.sock")
    first = start(one.address, epoch_silence_s=3.0).ready()
    second = start(other.address).ready()
    replaced = first.rules.epoch
    first.reactor.run_until(lambda: first.rules.epoch != replaced)
    second.subscription.stop()
    second.sidecar.stop()
    other.stop()
    first.ready()
    first.fill("$a")
    assert first.rules.epoch not in (replaced, second.rules.epoch)


def test_too_many_rows_are_purged_for_at_once(address: str, start: Callable[..., Bridge]) -> None:
    bridge = start(address).ready()
    bridge.fill("$a")
    connection = sqlite3.connect(bridge.path)
    rows = [(f"row{n}", '{"version": 1, "rooms": [], "events": {}}') for n in range(ROWS_MAX + 1)]
    connection.executemany("INSERT INTO splitcache_outbox VALUES (?, ?)", rows)
    connection.commit()
    connection.close()
    bridge.reactor.run_until(lambda: bridge.rows() == [])
    assert bridge.look("$a").hits == {}


def test_another_generation_of_the_database_empties_the_cache(
    address: str, start: Callable[..., Bridge]
) -> None:
    bridge = start(address).ready()
    bridge.fill("$a")
    connection = sqlite3.connect(bridge.path)
    connection.execute("UPDATE splitcache_state SET generation = 'before'")
    connection.commit()
    connection.close()
    bridge.reactor.run_until(lambda: not bridge.outbox.is_open())
    bridge.ready()
    assert bridge.look("$a").hits == {}


def test_a_process_that_has_not_polled_since_cannot_fill_after_a_change_of_generation(
    address: str, start: Callable[..., Bridge], monkeypatch: pytest.MonkeyPatch
) -> None:
    """O8: its poll is from the old database, from which it reads as well."""
    first, second = start(address).ready(), start(address).ready()
    before = second.rules.epoch
    second.outbox.stop()
    second.outbox.thread.join(20)
    monkeypatch.setattr(second.rules, "_closes_at", math.inf)
    connection = sqlite3.connect(first.path)
    connection.execute("UPDATE splitcache_state SET generation = 'before'")
    connection.commit()
    connection.close()
    first.reactor.run_until(lambda: not first.outbox.is_open())
    first.ready()
    assert first.rules.epoch != before
    # It misses, reads, and puts.
    position = second.look("$a").position
    # A reply of an epoch that it does not know to be registered has no position for it: no fill.
    if position is not None:
        second.sidecar.put([event("$a")], position)
    assert position is None
    assert first.look("$a").hits == {}


def test_a_reply_that_is_used_too_late_is_a_miss(
    address: str, start: Callable[..., Bridge], monkeypatch: pytest.MonkeyPatch
) -> None:
    """O6: the process may have been frozen after the reply came."""
    bridge = start(address).ready()
    bridge.fill("$a")
    bridge.subscription.stop()
    # The stream has not applied it, so no reply from now on proves anything.
    start(address).ready().announce("$b")
    bridge.reactor.run_until(lambda: not bridge.near.is_proved(time.monotonic()))
    found: list[Any] = []
    lookup = bridge.transport.lookup

    def frozen(request: Any, timeout_s: float, on_done: Any) -> None:
        def done(reply: Any) -> None:
            time.sleep(0.3)
            on_done(reply)

        lookup(request, timeout_s, done)

    assert set(bridge.look("$a").hits) == {"$a"}
    monkeypatch.setattr(bridge.transport, "lookup", frozen)
    bridge.sidecar.lookup(["$a"]).addCallback(found.append)
    bridge.reactor.run_until(lambda: bool(found))
    assert found[0].hits == {}


def test_the_gate_is_judged_when_a_lookup_is_sent(
    address: str, start: Callable[..., Bridge], monkeypatch: pytest.MonkeyPatch
) -> None:
    bridge = start(address).ready()
    bridge.fill("$a")
    monkeypatch.setattr(bridge.outbox, "is_open", lambda: False)
    asked: list[Any] = []
    monkeypatch.setattr(bridge.transport, "lookup", lambda *args: asked.append(args))
    found = bridge.look("$a")
    assert found.hits == {}
    assert found.position is None
    assert not asked
    # Synapse adds to what it is given.
    found.hits["$b"] = event("$b")
    assert bridge.look("$b").hits == {}


def test_the_gate_is_judged_for_each_request_of_a_lookup(
    address: str, start: Callable[..., Bridge], monkeypatch: pytest.MonkeyPatch
) -> None:
    bridge = start(address).ready()
    many = [f"$small{n}" for n in range(300)]
    bridge.fill(*many)
    lookup = bridge.transport.lookup

    def closing(*args: Any) -> None:
        monkeypatch.setattr(bridge.outbox, "is_open", lambda: False)
        lookup(*args)

    monkeypatch.setattr(bridge.transport, "lookup", closing)
    assert set(bridge.look(*many).hits) == set(many[:100])


def test_what_was_read_is_not_filled_while_the_gate_is_closed(
    address: str, start: Callable[..., Bridge], monkeypatch: pytest.MonkeyPatch
) -> None:
    bridge = start(address).ready()
    position = bridge.look("$a").position
    called: list[str] = []
    unary = bridge.transport.unary

    def watched(method: str, *args: Any) -> None:
        called.append(method)
        unary(method, *args)

    monkeypatch.setattr(bridge.transport, "unary", watched)
    with monkeypatch.context() as closed:
        closed.setattr(bridge.rules, "_closes_at", 0.0)
        bridge.sidecar.put([event("$a")], position)
    assert "PutEvents" not in called
    bridge.sidecar.put([event("$a")], bridge.look("$a").position)
    bridge.reactor.run_until(lambda: "PutEvents" in called)
