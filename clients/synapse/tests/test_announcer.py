"""When a write may return (O2, O7, O9). Each test fails when its rule is taken away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from twisted.internet.task import Clock

from client_support.polls import E1, E2
from splitcache_client.gen import event_cache_service_pb2 as pb
from splitcache_client.outbox_rules import WRITE_WAIT_S
from splitcache_client.pending import EVENTS_MAX, Pending
from splitcache_synapse.announcer import Announcer
from splitcache_synapse.metrics import BridgeMetrics


class Refused(grpc.RpcError):
    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.INVALID_ARGUMENT


class Calls:
    """A transport whose calls the test answers."""

    immediate = False

    def __init__(self) -> None:
        self.made: list[tuple[str, Any]] = []
        self.waiting: list[Callable[[Any], None]] = []

    def unary(self, method: str, request: Any, timeout_s: float, on_done: Any) -> None:
        self.made.append((method, request))
        self.waiting.append(on_done)

    def answer(self, outcome: Any) -> None:
        self.waiting.pop(0)(outcome)

    def ok(self, epoch: bytes = E1) -> None:
        self.answer(pb.PurgeRoomResponse(position=pb.Position(epoch=epoch, sequence=1)))


class Table:
    """Freshness whose deletions the test answers."""

    def __init__(self) -> None:
        self.registered = E1
        self.counts = True
        self.deleting: list[tuple[str, bytes, Callable[[bool], None]]] = []

    def is_open(self) -> bool:
        return True

    def uses(self, epoch: bytes) -> bool:
        return epoch == self.registered

    def fills(self, epoch: bytes) -> bool:
        return True

    def replied(self, epoch: bytes, sent_at: float) -> None:
        pass

    def announced(self, row: str, epoch: bytes, on_done: Callable[[bool], None]) -> None:
        self.deleting.append((row, epoch, on_done))

    def write_may_return(self, epoch: bytes) -> bool:
        return self.counts and epoch == self.registered

    def deleted(self, done: bool = True) -> None:
        self.deleting.pop(0)[2](done)


class Writer:
    def __init__(self) -> None:
        self.clock = Clock()
        self.calls, self.table = Calls(), Table()
        self.announcer = Announcer(
            transport=self.calls,  # type: ignore[arg-type]
            reactor=self.clock,
            monotonic=self.clock.seconds,
            homeserver="alpha.example",
            freshness=self.table,
            metrics=BridgeMetrics("announcer.example"),
        )

    def write(self, *rooms: str) -> Any:
        pending = Pending()
        for room_id in rooms or ("!a",):
            pending.add_room(room_id)
        pending.row_id = f"row of {rooms}"
        return self.announcer.finish(pending)

    def advance(self, seconds: float) -> None:
        for _ in range(int(seconds * 10)):
            self.clock.advance(0.1)


@pytest.fixture
def writer() -> Writer:
    return Writer()


def test_a_write_returns_once_its_row_is_deleted(writer: Writer) -> None:
    done = writer.write("!a", "!b")
    writer.calls.ok()
    assert not writer.table.deleting, "it is not announced yet"
    writer.calls.ok()
    assert not done.called
    writer.table.deleted()
    assert done.called
    assert [method for method, _ in writer.calls.made] == ["PurgeRoom", "PurgeRoom"]


def test_a_write_returns_after_a_while_though_it_could_not_be_announced(writer: Writer) -> None:
    done = writer.write()
    for _ in range(100):
        if writer.calls.waiting:
            writer.calls.answer(TimeoutError())
        if done.called:
            break
        writer.clock.advance(0.1)
    assert WRITE_WAIT_S <= writer.clock.seconds() <= WRITE_WAIT_S + 0.2
    assert not writer.table.deleting, "the row stays, to be relayed"
    writer.advance(60)
    assert not writer.calls.waiting, "from then on it is the relay's"


def test_a_write_returns_after_a_while_though_nothing_is_answered_at_all(writer: Writer) -> None:
    done = writer.write()
    writer.advance(WRITE_WAIT_S - 0.2)
    assert not done.called
    writer.advance(0.3)
    assert done.called
    # A late answer is nothing to it any more.
    writer.calls.ok()


def test_writes_do_not_wait_while_announcements_fail(writer: Writer) -> None:
    writer.write()
    writer.advance(WRITE_WAIT_S + 0.1)
    assert writer.write().called
    # It is announced all the same, and then writes wait again.
    writer.calls.waiting.pop(0)
    writer.calls.ok()
    writer.table.deleting[-1][2](True)
    done = writer.write()
    assert not done.called


def test_an_ok_does_not_count_until_its_epoch_has_been_registered_for_a_while(
    writer: Writer,
) -> None:
    writer.table.counts = False
    done = writer.write()
    writer.calls.ok()
    writer.table.deleted()
    writer.advance(1)
    assert not done.called
    writer.table.counts = True
    writer.advance(0.2)
    assert done.called


def test_an_ok_does_not_count_when_its_epoch_was_replaced(writer: Writer) -> None:
    writer.table.counts = False
    done = writer.write()
    writer.calls.ok()
    writer.table.deleted()
    writer.table.registered, writer.table.counts = E2, True
    writer.advance(WRITE_WAIT_S - 0.2)
    assert not done.called
    writer.advance(0.3)
    assert done.called


def test_an_ok_of_another_epoch_than_the_registered_one_is_asked_for_again(writer: Writer) -> None:
    done = writer.write()
    writer.calls.ok(E2)
    writer.table.deleted(False)
    writer.advance(0.2)
    writer.calls.ok()
    assert writer.table.deleting[0][1] == E1
    writer.table.deleted()
    assert done.called


def test_calls_that_were_answered_in_two_epochs_are_made_again(writer: Writer) -> None:
    done = writer.write("!a", "!b")
    writer.calls.ok(E1)
    writer.calls.ok(E2)
    assert not writer.table.deleting
    writer.advance(0.2)
    writer.calls.ok(E2)
    writer.calls.ok(E2)
    writer.table.registered = E2
    writer.table.deleted()
    assert done.called
    assert len(writer.calls.made) == 4


def test_what_the_sidecar_refuses_becomes_a_purge_of_everything(writer: Writer) -> None:
    done = writer.write()
    writer.calls.answer(Refused())
    writer.advance(0.2)
    assert writer.calls.made[-1][0] == "PurgeHomeserver"
    writer.calls.ok()
    writer.table.deleted()
    assert done.called


def test_it_is_idle_once_nothing_is_being_announced(writer: Writer) -> None:
    idle: list[bool] = []
    writer.write()
    writer.announcer.when_idle(lambda: idle.append(True))
    assert not idle
    writer.calls.ok()
    writer.table.deleted()
    assert idle


def test_a_pending_change_says_the_same_after_its_row_was_read() -> None:
    pending = Pending()
    pending.add_room("!a")
    pending.add_events("", ["$\ud800"])
    pending.add_events("!b", ["$1", "$2"])
    again = Pending()
    again.add_text(pending.text())
    assert again.text() == pending.text()
    assert pending.text().isascii()


@pytest.mark.parametrize(
    "text",
    ["", "x", "[]", "null", "{}", '{"version": 2}', '{"version": 1}', '{"version": 1, "rooms": 7}'],
)
def test_a_row_that_cannot_be_read_is_a_change_of_everything(text: str) -> None:
    pending = Pending()
    pending.add_text(text)
    assert [kind for kind, _, _ in pending.announcements("x")] == ["homeserver"]


def test_a_transaction_of_too_many_events_is_a_change_of_everything() -> None:
    pending = Pending()
    pending.add_events("", [f"${n}" for n in range(EVENTS_MAX)])
    assert len(pending.announcements("x")) == EVENTS_MAX // 500
    pending.add_events("!a", ["$one more"])
    assert [kind for kind, _, _ in pending.announcements("x")] == ["homeserver"]
    assert len(pending.text()) < 100
