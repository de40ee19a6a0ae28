"""The gate and the bound of a moment, as the metrics show them."""

from __future__ import annotations

import math

import pytest

from client_support.polls import poll
from splitcache_client.outbox_rules import OutboxRules
from splitcache_client.outbox_state import RulesState


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_before_the_first_poll_nothing_is_read() -> None:
    state = RulesState(OutboxRules(), Clock())
    assert not state.is_open()
    assert state.gate_age_s() == math.inf
    assert state.bound_s() == 0
    assert state.rows() == 0


def test_the_bound_is_the_age_of_the_poll_and_of_a_reply() -> None:
    rules, clock = OutboxRules(), Clock()
    state = RulesState(rules, clock)
    rules.polled(poll(100.0))
    clock.now = 102.0
    assert state.gate_age_s() == 2.0
    assert state.bound_s() == 2.25
    clock.now = 103.0
    assert not state.is_open()
    assert state.bound_s() == 0


def test_the_bound_is_that_of_the_oldest_row_if_it_is_older_than_the_poll() -> None:
    rules, clock = OutboxRules(), Clock()
    state = RulesState(rules, clock)
    rules.polled(poll(100.0))
    rules.polled(poll(101.0, "row"))
    rules.polled(poll(102.0, "row"))
    clock.now = 102.5
    assert state.rows() == 1
    assert state.gate_age_s() == 0.5
    assert state.oldest_row_s() == 2.5
    assert state.bound_s() == 2.75
    rules.announced(["row"], b"", 102.5)
    assert state.rows() == 1


def test_the_gate_and_the_bound_are_judged_at_one_time() -> None:
    """The thread that reads the metrics may be held up at any place."""
    rules, times = OutboxRules(), iter([102.9, 110.0, 110.0])
    rules.polled(poll(100.0))
    assert RulesState(rules, lambda: next(times)).bound_s() == pytest.approx(3.15)
