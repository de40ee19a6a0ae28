"""When the circuit breaker lets a call through."""

from __future__ import annotations

from twisted.internet.task import Clock

from splitcache_client.breaker import CLOSED, FAILURES_TO_OPEN, HALF_OPEN, OPEN, Breaker


def opened(clock: Clock) -> tuple[Breaker, list[int]]:
    reported: list[int] = []
    breaker = Breaker(clock.seconds, reported.append)
    for _ in range(FAILURES_TO_OPEN):
        assert breaker.allows()
        breaker.failed()
    return breaker, reported


def test_opens_after_failures_in_a_row() -> None:
    breaker, reported = opened(Clock())
    assert not breaker.allows()
    assert reported == [OPEN]


def test_a_success_in_between_begins_the_count_anew() -> None:
    breaker = Breaker(Clock().seconds, lambda state: None)
    for _ in range(3):
        for _ in range(FAILURES_TO_OPEN - 1):
            breaker.failed()
        breaker.succeeded()
    assert breaker.state == CLOSED


def test_lets_one_call_try_after_the_pause_and_closes_if_it_succeeds() -> None:
    clock = Clock()
    breaker, reported = opened(clock)
    clock.advance(1.0)
    assert breaker.allows()
    assert not breaker.allows()
    breaker.succeeded()
    assert breaker.allows()
    assert reported == [OPEN, HALF_OPEN, CLOSED]


def test_pauses_twice_as_long_after_each_failed_try_up_to_thirty_seconds() -> None:
    clock = Clock()
    breaker, _ = opened(clock)
    for pause in (1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0):
        clock.advance(pause - 0.25)
        assert not breaker.allows()
        clock.advance(0.25)
        assert breaker.allows()
        breaker.failed()


def test_late_failures_prolong_nothing() -> None:
    clock = Clock()
    breaker, _ = opened(clock)
    clock.advance(0.9)
    breaker.failed()
    clock.advance(0.1)
    assert breaker.allows()
