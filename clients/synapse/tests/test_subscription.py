"""What is announced is dropped from the caches of every process that follows the log."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from splitcache_client.channel import Channels
from splitcache_client.gen import event_cache_service_pb2 as pb
from splitcache_client.transport import BlockingTransport
from tests.bridge import HOME, Bridge


def test_a_change_of_the_log_is_dropped_and_what_is_kept_is_proved(
    address: str, start: Callable[..., Bridge]
) -> None:
    bridge = start(address).ready()
    bridge.fill("$a")
    bridge.reactor.run_until(bridge.sidecar.may_use_kept)
    assert bridge.look("$a").keep == {"$a"}
    direct = BlockingTransport(Channels(address))
    dropped = bridge.dropped
    before = dropped.everything_times
    for method, request in (
        ("InvalidateEvents", pb.InvalidateEventsRequest(homeserver=HOME, event_ids=["$a", "$b"])),
        ("PurgeRoom", pb.PurgeRoomRequest(homeserver=HOME, room_id="!r")),
        ("PurgeHomeserver", pb.PurgeHomeserverRequest(homeserver=HOME)),
    ):
        direct.unary(method, request, 5.0, lambda reply: None)
    bridge.reactor.run_until(lambda: dropped.everything_times > before)
    assert dropped.events[-2:] == ["$a", "$b"]
    assert dropped.rooms == ["!r"]
    redaction = pb.SetRedactionRequest(homeserver=HOME, event_id="$c")
    redaction.redaction.redacted_by = "$r"
    direct.unary("SetRedaction", redaction, 5.0, lambda reply: None)
    rejection = pb.SetRejectedRequest(homeserver=HOME, event_id="$d", rejected=True)
    direct.unary("SetRejected", rejection, 5.0, lambda reply: None)
    bridge.reactor.run_until(lambda: dropped.events[-2:] == ["$c", "$d"])
    kept_before = dropped.kept_times
    new_epoch = pb.PurgeHomeserverRequest(homeserver=HOME, new_epoch=True)
    direct.unary("PurgeHomeserver", new_epoch, 5.0, lambda reply: None)
    bridge.reactor.run_until(lambda: dropped.kept_times > kept_before)
    direct.close()


def test_changes_are_followed_anew_when_one_could_not_be_applied(
    address: str, start: Callable[..., Bridge], monkeypatch: pytest.MonkeyPatch
) -> None:
    bridge = start(address).ready()
    bridge.reactor.run_until(bridge.sidecar.may_use_kept)
    event_ids: list[str] = []

    def failing(event_id: str) -> None:
        event_ids.append(event_id)
        if len(event_ids) == 1:
            raise ValueError("not now")

    monkeypatch.setattr(bridge.dropped, "event", failing)
    bridge.announce("$a")
    bridge.announce("$b")
    bridge.reactor.run_until(lambda: "$b" in event_ids)
    assert event_ids == ["$a", "$a", "$b"]


def test_what_is_kept_is_not_used_once_the_stream_has_ended(
    address: str, start: Callable[..., Bridge]
) -> None:
    bridge = start(address).ready()
    bridge.reactor.run_until(bridge.sidecar.may_use_kept)
    bridge.subscription.stop()
    other = start(address).ready()
    other.announce("$a")
    bridge.reactor.run_until(lambda: not bridge.sidecar.may_use_kept())
    assert bridge.outbox.is_open()
