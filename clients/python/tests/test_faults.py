"""What a client serves when notices, replies and positions come late, never or from elsewhere. Each
test fails when its rule is taken away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from client_support.fake_sidecar import E1, E2, FakeSidecar
from splitcache_client import EventChanged, HomeserverPurged, Reset, SplitCache
from splitcache_client.clock import monotonic
from splitcache_client.event import to_message
from splitcache_client.gen import event_cache_service_pb2 as pb
from splitcache_client.lookups import Lookup
from splitcache_client.near_cache import POSITION_AGE_MAX_S
from splitcache_client.outbox_rules import REPLY_AGE_MAX_S
from splitcache_client.reading import Found
from tests.world import HOME, PATIENCE_S, event, until

A, B = to_message(event("$a")), to_message(event("$b"))


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeSidecar]:
    fake = FakeSidecar(tmp_path)
    yield fake
    fake.stop()


@pytest.fixture
def cache(fake: FakeSidecar) -> Iterator[SplitCache]:
    cache = SplitCache.connect(address=fake.address, homeserver=HOME, read_deadline_s=PATIENCE_S)
    assert cache.wait_until_current()
    yield cache
    fake.answers_positions.set()
    cache.close()


@pytest.fixture
def read(cache: SplitCache) -> Iterator[Callable[..., Future[Found]]]:
    """Reads in a thread."""
    with ThreadPoolExecutor(4) as pool:
        yield lambda *ids: pool.submit(cache.get_many, ids, timeout_s=PATIENCE_S)


Read = Callable[..., "Future[Found]"]


def kept(cache: SplitCache, *event_ids: str) -> set[str]:
    """What is in the near cache, whether or not it may be used now."""
    return set(cache._core.entries.get(event_ids, lambda: True))


def test_a_reply_that_a_notice_has_overtaken_is_neither_served_nor_kept(
    cache: SplitCache, fake: FakeSidecar, read: Read
) -> None:
    changes = cache.changes(timeout_s=PATIENCE_S)
    reading = read("$a", "$b")
    lookup = fake.lookups.get(timeout=PATIENCE_S)
    before = fake.position()
    fake.notice(events_invalidated=pb.EventsInvalidated(event_ids=["$a"]))
    assert next(changes) == EventChanged("$a")
    fake.reply(lookup, A, B, position=before)
    assert reading.result(PATIENCE_S).missing == ("$a",)
    assert kept(cache, "$a", "$b") == {"$b"}


@pytest.mark.parametrize(
    "change",
    [
        {"room_purged": pb.RoomPurged(room_id=A.room_id)},
        {"homeserver_purged": pb.HomeserverPurged()},
        # A change that this release does not know.
        {},
    ],
)
def test_a_reply_that_a_purge_has_overtaken_is_not_kept(
    cache: SplitCache, fake: FakeSidecar, read: Read, change: dict[str, object]
) -> None:
    changes = cache.changes(timeout_s=PATIENCE_S)
    reading = read("$a")
    lookup = fake.lookups.get(timeout=PATIENCE_S)
    fake.notice(**change)
    next(changes)
    fake.reply(lookup, A)
    assert reading.result(PATIENCE_S).missing == ("$a",)
    assert kept(cache, "$a") == set()


def test_a_reply_to_a_request_from_before_a_reset_is_not_kept(
    cache: SplitCache, fake: FakeSidecar, read: Read
) -> None:
    changes = cache.changes(timeout_s=PATIENCE_S)
    reading = read("$a")
    lookup = fake.lookups.get(timeout=PATIENCE_S)
    fake.reset(E2)
    assert next(changes) == Reset()
    fake.reply(lookup, A)
    reading.result(PATIENCE_S)
    assert kept(cache, "$a") == set()


def test_a_reply_of_another_epoch_than_the_stream_is_neither_served_nor_kept(
    cache: SplitCache, fake: FakeSidecar, read: Read
) -> None:
    reading = read("$a")
    lookup = fake.lookups.get(timeout=PATIENCE_S)
    fake.reply(lookup, A, position=pb.Position(epoch=E2, sequence=0))
    assert reading.result(PATIENCE_S) == Found({}, ("$a",), None)
    assert kept(cache, "$a") == set()


def test_what_is_kept_is_not_used_while_positions_are_not_answered(
    cache: SplitCache, fake: FakeSidecar, read: Read
) -> None:
    reading = read("$a")
    fake.answer(A)
    reading.result(PATIENCE_S)
    assert cache._core.near_hits(["$a"])
    fake.answers_positions.clear()
    until(lambda: not cache.freshness.near_is_open)
    assert cache.freshness.proof_age_s >= POSITION_AGE_MAX_S
    assert cache._core.near_hits(["$a"]) == {}
    # It is not dropped, and used again after a proof.
    fake.answers_positions.set()
    until(lambda: bool(cache._core.near_hits(["$a"])))


def test_what_is_kept_is_not_used_while_the_stream_is_behind_the_position(
    cache: SplitCache, fake: FakeSidecar, read: Read
) -> None:
    reading = read("$a")
    fake.answer(A)
    reading.result(PATIENCE_S)
    # A notice that is lost: positions count it, the stream does not bring it.
    fake.sequence += 1
    until(lambda: not cache.freshness.near_is_open)
    assert kept(cache, "$a") == {"$a"}


def test_a_notice_drops_what_is_kept(cache: SplitCache, fake: FakeSidecar, read: Read) -> None:
    reading = read("$a", "$b")
    fake.answer(A, B)
    reading.result(PATIENCE_S)
    changes = cache.changes(timeout_s=PATIENCE_S)
    fake.notice(event_redacted=pb.EventRedacted(event_id="$a", redacted_by="$r"))
    assert next(changes) == EventChanged("$a")
    assert kept(cache, "$a", "$b") == {"$b"}
    fake.notice(homeserver_purged=pb.HomeserverPurged())
    assert next(changes) == HomeserverPurged()
    assert kept(cache, "$a", "$b") == set()


def test_what_was_truncated_is_asked_for_again(fake: FakeSidecar, read: Read) -> None:
    reading = read("$a", "$b")
    fake.answer(A, truncated=("$b",))
    assert list(fake.answer(B).request.event_ids) == ["$b"]
    assert reading.result(PATIENCE_S).missing == ()


def test_an_epoch_that_comes_back_shows_two_logs_and_ends_reading(
    cache: SplitCache, fake: FakeSidecar, read: Read, caplog: pytest.LogCaptureFixture
) -> None:
    fake.reset(E2)
    until(lambda: cache.freshness.near_is_open and cache.freshness.position == (E2, 0))
    assert not cache.freshness.has_two_logs
    fake.epoch = E1
    until(lambda: cache.freshness.has_two_logs)
    assert not cache.freshness.is_open
    assert read("$a").result(PATIENCE_S).missing == ("$a",)
    assert fake.lookups.empty()
    assert "without a common log" in caplog.text


def test_a_thread_that_wakes_late_uses_no_old_reply(cache: SplitCache) -> None:
    def looked_up(age_s: float) -> Lookup:
        origin = (E1, monotonic() - age_s)
        return Lookup({"$a": event("$a")}, frozenset(), None, {"$a": origin})

    assert cache._core.usable(looked_up(0)) == {"$a": event("$a")}
    assert cache._core.usable(looked_up(REPLY_AGE_MAX_S)) == {}
