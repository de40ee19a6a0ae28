"""What the near cache keeps. Each test fails when its rule is taken away."""

from __future__ import annotations

import pytest

from splitcache_client import near_entries
from splitcache_client.event import Event
from splitcache_client.near_entries import NearEntries
from tests.world import ROOM, event

OTHER = "!other:alpha.example"
SIZE = event("$0").bytes


def yes() -> bool:
    return True


def made(entries_max: int, *event_ids: str) -> NearEntries:
    near = NearEntries(entries_max * SIZE)
    near.keep(event(one) for one in event_ids)
    return near


def kept(near: NearEntries, *event_ids: str) -> set[str]:
    return set(near.get(event_ids, yes))


def test_returns_the_same_object_and_it_is_frozen() -> None:
    near = made(2, "$a")
    (first,), (second,) = near.get(["$a"], yes).values(), near.get(["$a"], yes).values()
    assert first is second
    with pytest.raises(AttributeError):
        first.body = b"{}"  # type: ignore[misc]


def test_serves_nothing_that_may_not_be_used_and_keeps_it() -> None:
    near = made(2, "$a")
    assert near.get(["$a"], lambda: False) == {}
    assert kept(near, "$a") == {"$a"}


def test_asks_whether_it_may_be_used_after_the_lookup() -> None:
    near = made(2, "$a")
    order = []

    class Spied(dict[str, object]):
        def get(self, key: str, default: object = None) -> object:
            order.append("lookup")
            return super().get(key, default)

    near._entries = Spied(near._entries)  # type: ignore[assignment]
    near.get(["$a"], lambda: bool(order.append("asked")))  # type: ignore[func-returns-value]
    assert order == ["lookup", "asked"]


def test_is_bounded_by_bytes() -> None:
    near = made(3, *(f"${n}" for n in range(10)))
    assert near.bytes <= 3 * SIZE
    assert len(kept(near, *(f"${n}" for n in range(10)))) == 3


def test_counts_the_body_and_the_metadata() -> None:
    large = Event("$large", ROOM, "10", b"x" * 1000, internal_metadata=b"y" * 1000)
    assert large.bytes >= Event("$large", ROOM, "10", b"").bytes + 2000


def test_keeps_what_was_used_when_it_makes_room() -> None:
    near = made(3, "$0", "$1", "$2")
    kept(near, "$0")
    near.keep([event("$3")])
    assert kept(near, "$0", "$1", "$2", "$3") == {"$0", "$2", "$3"}


def test_does_not_keep_what_is_larger_than_the_bound() -> None:
    near = made(2, "$0", "$1")
    near.keep([Event("$large", ROOM, "10", b"x" * 3 * SIZE)])
    assert kept(near, "$0", "$1", "$large") == {"$0", "$1"}


def test_replaces_an_entry_and_its_bytes() -> None:
    near = made(2, "$a")
    near.keep([event("$a", "newer")])
    assert near.get(["$a"], yes)["$a"].parsed() == {"text": "newer"}
    assert near.bytes == SIZE


def test_drops_one_event() -> None:
    near = made(2, "$a", "$b")
    near.event("$a")
    assert kept(near, "$a", "$b") == {"$b"}
    assert near.bytes == SIZE


def test_drops_everything() -> None:
    near = made(2, "$a", "$b")
    near.kept()
    assert kept(near, "$a", "$b") == set()
    assert near.bytes == 0


def test_a_purge_of_a_room_drops_the_room_alone() -> None:
    near = made(4, "$a", "$b")
    near.keep([event("$c", room_id=OTHER)])
    near.room(ROOM)
    assert kept(near, "$a", "$b", "$c") == {"$c"}


def test_what_is_kept_of_a_room_after_its_purge_is_served_and_not_swept() -> None:
    near = made(4, "$a", "$b")
    near.room(ROOM)
    near.keep([event("$a", "newer")])
    near.sweep()
    assert kept(near, "$a", "$b") == {"$a"}
    assert near.bytes == SIZE


def test_a_purge_visits_no_entry_and_a_sweep_few(monkeypatch: pytest.MonkeyPatch) -> None:
    near = made(10, *(f"${n}" for n in range(10)))
    near.room(ROOM)
    # All entries are still there: the purge has marked the room.
    assert near.bytes == 10 * SIZE
    monkeypatch.setattr(near_entries, "SWEPT_MAX", 4)
    near.sweep()
    assert near.bytes == 6 * SIZE
    near.sweep()
    near.sweep()
    assert near.bytes == 0


def test_makes_room_from_purged_rooms_whose_entries_were_used() -> None:
    near = made(2, "$a", "$b")
    kept(near, "$a", "$b")
    near.room(ROOM)
    near.keep([event("$c", room_id=OTHER), event("$d", room_id=OTHER)])
    assert kept(near, "$a", "$b", "$c", "$d") == {"$c", "$d"}
