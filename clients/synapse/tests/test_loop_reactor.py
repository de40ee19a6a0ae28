"""The reactor of the tests is as strict as Twisted's."""

from __future__ import annotations

import pytest
from twisted.internet.error import AlreadyCalled, AlreadyCancelled

from .loop_reactor import LoopReactor


def test_a_cancelled_timer_is_not_called_and_cannot_be_cancelled_again() -> None:
    reactor = LoopReactor()
    called: list[str] = []
    timer = reactor.callLater(0, called.append, "cancelled")
    timer.cancel()
    reactor.callLater(0, called.append, "later")
    reactor.run_until(lambda: bool(called))
    assert called == ["later"]
    assert not timer.active()
    with pytest.raises(AlreadyCancelled):
        timer.cancel()


def test_a_timer_that_was_called_cannot_be_cancelled() -> None:
    reactor = LoopReactor()
    called: list[str] = []
    timer = reactor.callLater(0, called.append, "called")
    reactor.run_until(lambda: bool(called))
    with pytest.raises(AlreadyCalled):
        timer.cancel()


def test_a_timer_is_called_already_while_it_runs() -> None:
    reactor = LoopReactor()
    raised: list[Exception] = []

    def cancel_itself() -> None:
        try:
            timer.cancel()
        except AlreadyCalled as error:
            raised.append(error)

    timer = reactor.callLater(0, cancel_itself)
    reactor.run_until(lambda: bool(raised))


def test_refuses_a_time_in_the_past() -> None:
    with pytest.raises(AssertionError):
        LoopReactor().callLater(-1, lambda: None)
