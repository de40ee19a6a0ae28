"""The client for threads over a real sidecar. Each rule's test fails when it is taken away."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from client_support.sidecar_process import SidecarProcess
from splitcache_client import (
    Event,
    EventChanged,
    OutboxDatabase,
    Pending,
    Position,
    Redaction,
    Reset,
    RoomPurged,
    SplitCache,
    View,
)
from tests.world import ROOM, Truth, commit, counted, event, fill, keep, until

Connect = Callable[..., SplitCache]


def test_reads_through_and_puts_what_was_missing(writer: SplitCache, connect: Connect) -> None:
    truth = Truth(event("$a"), event("$b"))
    found = writer.get_or_fetch(["$a", "$none", "$b"], truth.fetch)
    assert writer.settled(timeout_s=20)
    assert counted(writer, "filled_stored") == 2
    assert list(found) == ["$a", "$b"]
    assert truth.asked == [["$a", "$none", "$b"]]
    other = connect()
    assert other.wait_until_current()
    until(lambda: other.get_many(["$a", "$b"]).missing == ())
    assert other.get_many(["$a"]).events["$a"] == event("$a")


def test_a_second_read_asks_no_sidecar(writer: SplitCache) -> None:
    truth = Truth(event("$a"))
    fill(writer, truth)
    requests = counted(writer, "requests")
    first = writer.get_many(["$a"]).events["$a"]
    assert writer.get_many(["$a"]).events["$a"] is first
    assert counted(writer, "requests") == requests


def test_the_fence_refuses_what_was_read_before_a_change(
    writer: SplitCache, database: OutboxDatabase
) -> None:
    def changed_meanwhile(event_ids: Sequence[str]) -> list[Event]:
        writer.announce(commit(database, "$a"))
        return [event("$a")]

    writer.get_or_fetch(["$a"], changed_meanwhile)
    until(lambda: counted(writer, "filled_fenced") == 1)
    assert writer.get_many(["$a"]).missing == ("$a",)


def test_an_announced_change_is_seen_by_all(
    writer: SplitCache, connect: Connect, database: OutboxDatabase
) -> None:
    truth = Truth(event("$a"))
    fill(writer, truth)
    reader = connect()
    assert reader.wait_until_current()
    keep(reader, ["$a"])
    writer.announce(commit(database, "$a"))
    assert writer.get_many(["$a"]).missing == ("$a",)
    until(lambda: reader.get_many(["$a"]).missing == ("$a",))


def test_own_changes_are_dropped_before_the_notice_comes(
    writer: SplitCache, database: OutboxDatabase
) -> None:
    fill(writer, Truth(event("$a"), event("$b")))
    # No notice reaches this client any longer.
    writer._core.loop.callFromThread(writer._core._subscription.stop)
    writer.announce(commit(database, "$a"))
    assert list(writer._core.entries.get(["$a", "$b"], lambda: True)) == ["$b"]


def test_while_the_gate_is_closed_nothing_kept_is_used_and_nothing_dropped(
    writer: SplitCache,
) -> None:
    fill(writer, Truth(event("$a")))
    outbox = writer._core.outbox
    assert outbox is not None
    # No poll comes any longer.
    outbox.stop()
    until(lambda: not writer.freshness.is_open)
    assert writer._core.near_hits(["$a"]) == {}
    assert writer.get_many(["$a"]).missing == ("$a",)
    assert writer._core.entries.get(["$a"], lambda: True) == {"$a": event("$a")}


def test_what_nobody_announced_is_relayed_and_dropped(
    writer: SplitCache, database: OutboxDatabase
) -> None:
    fill(writer, Truth(event("$a")))
    commit(database, "$a")
    until(lambda: writer.get_many(["$a"]).missing == ("$a",))
    until(lambda: counted(writer, "announced_relayed") >= 1)


def test_follows_changes(writer: SplitCache, reader: SplitCache, database: OutboxDatabase) -> None:
    changes = reader.changes(timeout_s=20)
    writer.announce(commit(database, "$a", "$b"))
    writer.announce(commit(database, room=ROOM))
    seen = [next(changes) for _ in range(3)]
    assert seen == [EventChanged("$a"), EventChanged("$b"), RoomPurged(ROOM)]


def test_a_purge_of_a_room_drops_it_from_the_near_cache(
    writer: SplitCache, reader: SplitCache, database: OutboxDatabase
) -> None:
    fill(writer, Truth(event("$a"), event("$b", room_id="!other:alpha.example")))
    keep(reader, ["$a", "$b"])
    writer.announce(commit(database, room=ROOM))
    until(lambda: list(reader._core.near_hits(["$a", "$b"])) == ["$b"])


def test_a_restart_of_the_sidecar_is_a_reset_and_empties_the_near_cache(
    tmp_path: Path,
    database: OutboxDatabase,
    connect: Connect,
    start_sidecar: Callable[[str], SidecarProcess],
) -> None:
    address = f"unix:{tmp_path}/own.sock"
    first = start_sidecar(address)
    cache = connect(address=address, database=database)
    assert cache.wait_until_current()
    fill(cache, Truth(event("$a")))
    changes = cache.changes(timeout_s=20)
    first.stop()
    start_sidecar(address)
    assert next(changes) == Reset()
    assert cache._core.entries.get(["$a"], lambda: True) == {}
    assert cache.get_many(["$a"]).missing == ("$a",)
    # It becomes usable again by itself.
    fill(cache, Truth(event("$a")))
    cache.close()


def test_a_row_of_a_transaction_that_was_rolled_back_is_not_there(
    writer: SplitCache, database: OutboxDatabase, tmp_path: object
) -> None:
    pending = Pending()
    pending.add_events(ROOM, ["$a"])
    connection = sqlite3.connect(f"{tmp_path}/homeserver.db")
    database.insert(connection.cursor(), pending)
    connection.rollback()
    assert connection.execute("SELECT count(*) FROM splitcache_outbox").fetchone() == (0,)
    connection.close()


def test_what_was_kept_is_read_again_if_it_changed_during_a_fetch(
    writer: SplitCache, database: OutboxDatabase
) -> None:
    truth = Truth(event("$kept"))
    fill(writer, truth)
    asked: list[list[str]] = []

    def slow(event_ids: Sequence[str]) -> list[Event]:
        asked.append(list(event_ids))
        if len(asked) == 1:
            writer.announce(commit(database, "$kept"))
        return [event(one, "newer") for one in event_ids]

    found = writer.get_or_fetch(["$kept", "$new"], slow)
    assert asked == [["$new"], ["$kept"]]
    assert found["$kept"].parsed() == {"text": "newer"}


def test_views_of_a_redacted_event(writer: SplitCache, connect: Connect) -> None:
    body = b'{"type":"m.room.message","content":{"body":"secret"}}'
    redacted = Event("$r", ROOM, "10", body, redaction=Redaction("$by", b'{"pruned":true}'))
    fill(writer, Truth(redacted))
    original = connect(view=View.ORIGINAL)
    assert original.wait_until_current()
    assert original.get_many(["$r"]).events["$r"].body == body
    assert b"secret" not in writer.get_many(["$r"]).events["$r"].body


def test_many_threads_read_in_few_requests(reader: SplitCache) -> None:
    start = threading.Barrier(20)

    def read(number: int) -> None:
        start.wait()
        reader.get_many([f"$missing{number}"])

    threads = [threading.Thread(target=read, args=(n,)) for n in range(20)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert counted(reader, "misses") >= 20
    assert counted(reader, "requests") <= 20


def test_closes_twice_and_leaves_no_thread(connect: Connect, database: OutboxDatabase) -> None:
    cache = connect(database=database)
    changes = cache.changes()
    cache.close()
    cache.close()
    assert list(changes) == []
    until(lambda: not [t for t in threading.enumerate() if t.name == "splitcache-outbox"])
    with pytest.raises(RuntimeError, match="closed"):
        cache.get_many(["$a"])


def test_put_with_a_position(writer: SplitCache) -> None:
    found = writer.get_many(["$a"])
    assert isinstance(found.as_of, Position)
    writer.put([event("$a")], found.as_of)
    assert writer.get_many(["$a"]).missing == ()
