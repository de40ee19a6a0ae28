"""What a client refuses, and what it does without a sidecar or a database."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from splitcache_client import (
    EventChanged,
    OutboxDatabase,
    Pending,
    Reset,
    Security,
    SplitCache,
)
from splitcache_client.changes import WAITING_MAX, Follower
from tests.world import ROOM, Truth, counted, event

Connect = Callable[..., SplitCache]


def test_without_a_sidecar_everything_is_missing_and_nothing_raises(connect: Connect) -> None:
    cache = connect(address="127.0.0.1:9")
    assert cache.get_many(["$a"]).missing == ("$a",)
    assert cache.get_or_fetch(["$a"], Truth(event("$a")).fetch) == {"$a": event("$a")}
    assert not cache.freshness.near_is_open


def test_a_silent_sidecar_costs_no_more_than_the_timeout(
    tmp_path: object, database: OutboxDatabase, connect: Connect
) -> None:
    silent = socket.socket(socket.AF_UNIX)
    silent.bind(f"{tmp_path}/silent.sock")
    silent.listen()
    cache = connect(address=f"unix:{tmp_path}/silent.sock", read_deadline_s=60.0)
    assert cache.get_many(["$a"], timeout_s=0.05).missing == ("$a",)
    silent.close()


def test_a_client_without_a_database_fills_nothing_and_must_not_change(
    reader: SplitCache,
) -> None:
    truth = Truth(event("$a"))
    for _ in range(2):
        assert reader.get_or_fetch(["$a"], truth.fetch) == {"$a": event("$a")}
    assert len(truth.asked) == 2
    assert counted(reader, "filled_stored") == 0
    with pytest.raises(ValueError, match="without a database"):
        reader.announce(Pending())


def test_a_change_that_is_not_in_the_outbox_is_refused(writer: SplitCache) -> None:
    pending = Pending()
    pending.add_events(ROOM, ["$a"])
    with pytest.raises(ValueError, match="not inserted"):
        writer.announce(pending)


def test_refuses_an_event_that_was_not_asked_for(writer: SplitCache) -> None:
    with pytest.raises(ValueError, match="not asked for"):
        writer.get_or_fetch(["$a"], lambda _: [event("$b")])


def test_a_slow_follower_gets_a_reset() -> None:
    follower = Follower()
    for number in range(WAITING_MAX):
        follower.add(EventChanged(f"${number}"))
    follower.add(EventChanged("$one too many"))
    assert follower.take(0) == Reset()
    assert follower.take(0) is None


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"address": "nowhere"}, "address"),
        ({"address": "unix:relative"}, "absolute"),
        ({"homeserver": ""}, "homeserver must be text of 1 to 255 bytes"),
        ({"homeserver": "x" * 256}, "homeserver"),
        ({"near_bytes_max": -1}, "near_bytes_max"),
        ({"read_deadline_s": 0}, "read_deadline_s"),
        ({"subscriber": "x" * 256}, "subscriber"),
        ({"address": "far:1", "security": Security(token_file="t")}, "without TLS"),
        ({"security": Security(tls_cert_file="c")}, "both or neither"),
    ],
)
def test_refuses_wrong_options(options: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        SplitCache.connect(**{"address": "127.0.0.1:1", "homeserver": "h", **options})


def test_refuses_too_many_ids_and_no_timeout(reader: SplitCache) -> None:
    with pytest.raises(ValueError, match="event_ids must be at most"):
        reader.get_many(f"${n}" for n in range(100_001))
    with pytest.raises(ValueError, match="timeout_s must be above 0"):
        reader.get_many(["$a"], timeout_s=0)
