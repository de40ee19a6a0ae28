"""The rules O3 to O5 and O8: each test fails when its rule is taken away."""

from __future__ import annotations

import math

import pytest

from client_support.polls import E1, E2, E3, poll, polled
from splitcache_client.outbox_poll import ROWS_MAX, Change
from splitcache_client.outbox_rules import (
    POLL_AGE_MAX_S,
    RELAY_AFTER_S,
    ROW_AGE_MAX_S,
    WRITE_WAIT_S,
    OutboxRules,
)

FLOOD = tuple(f"row{n}" for n in range(ROWS_MAX + 1))


def test_the_gate_is_closed_before_the_first_poll() -> None:
    assert not OutboxRules().is_open(0.0)


def test_a_poll_opens_the_gate_for_a_while_from_before_it_was_sent() -> None:
    rules = polled(poll(10.0, answered_at=12.0))
    assert rules.is_open(10.0 + POLL_AGE_MAX_S - 0.01)
    # Not from when it was answered: a row may have been committed meanwhile.
    assert not rules.is_open(10.0 + POLL_AGE_MAX_S)


def test_a_row_closes_the_gate_when_it_is_too_old() -> None:
    rules = polled(poll(9.0), poll(10.0, "a"), poll(11.0, "a"), poll(12.0, "a"))
    # Its age counts from the last poll that did not show it.
    assert rules.is_open(9.0 + ROW_AGE_MAX_S - 0.01)
    assert not rules.is_open(9.0 + ROW_AGE_MAX_S)


def test_the_gate_closes_between_two_polls() -> None:
    rules = polled(poll(9.0), poll(12.0, "a"))
    assert rules.is_open(12.9)
    assert not rules.is_open(13.0)


def test_a_process_that_starts_takes_every_row_for_too_old() -> None:
    rules = polled(poll(10.0, "a"))
    assert not rules.is_open(10.0)
    assert rules.rows_to_relay(10.0) == ["a"]
    assert rules.oldest_row_s(10.0) == math.inf


def test_a_row_that_comes_after_polls_have_lapsed_is_as_old_as_the_lapse() -> None:
    rules = polled(poll(10.0), poll(60.0, "a"))
    assert not rules.is_open(60.0)
    assert rules.rows_to_relay(60.0) == ["a"]


def test_what_this_process_has_announced_does_not_close_its_gate() -> None:
    rules = polled(poll(10.0, "a", "b"))
    rules.announced(["a"], E1, 10.2)
    assert not rules.is_open(10.3)
    rules.announced(["b"], E1, 10.2)
    assert rules.is_open(10.3)
    assert rules.rows_to_relay(10.3) == []
    # They are still there, so deleting them has failed.
    assert sorted(rules.rows_to_delete()) == ["a", "b"]


def test_a_row_that_is_gone_does_not_close_the_gate() -> None:
    rules = polled(poll(10.0, "a"), poll(11.0))
    assert rules.is_open(11.1)


def test_an_own_row_that_a_poll_does_not_show_yet_stays_announced() -> None:
    rules = polled(poll(10.0))
    rules.announced(["a"], E1, 10.9)
    # It was sent before the announcement, and may have missed the row.
    rules.polled(poll(10.8))
    rules.polled(poll(11.8, "a"))
    assert rules.rows_to_relay(20.0) == []
    assert rules.rows_to_delete() == ["a"]


def test_what_was_announced_is_forgotten_once_its_row_is_gone() -> None:
    rules = polled(poll(10.0, "a"))
    rules.announced(["a"], E1, 10.2)
    rules.polled(poll(11.0))
    assert rules._announced == {}


def test_a_row_is_relayed_when_it_is_old_enough() -> None:
    rules = polled(poll(9.0), poll(10.0, "a"))
    assert rules.rows_to_relay(9.0 + RELAY_AFTER_S) == []
    assert rules.rows_to_relay(9.0 + RELAY_AFTER_S + 0.01) == ["a"]


def test_too_many_rows_do_not_count_as_a_poll_and_are_purged_for() -> None:
    rules = polled(poll(10.0), poll(12.0, *FLOOD))
    assert rules.rows_to_purge() == FLOOD
    assert rules.is_open(12.9)
    assert not rules.is_open(13.1)
    rules.polled(poll(14.0, *FLOOD[:-1]))
    assert rules.rows_to_purge() == ()


def test_a_write_waits_for_as_long_as_others_may_read_what_was_before() -> None:
    assert max(POLL_AGE_MAX_S, ROW_AGE_MAX_S) <= WRITE_WAIT_S


def test_a_database_of_another_generation_closes_the_gate_until_it_is_recorded() -> None:
    rules = polled(poll(10.0, generation="new"))
    assert not rules.is_open(10.2)
    assert rules.change_to_purge() == Change(0, "g", "new", E1)
    rules.purged(Change(0, "g", "new", E1), E2)
    # It is registered, and no poll has shown it: replies of the epoch before are still used.
    assert not rules.is_open(10.3)
    rules.polled(poll(11.0, generation="new", recorded_generation="new", epoch=E2))
    assert rules.is_open(11.2)
    assert rules.change_to_purge() is None


def test_no_epoch_is_registered_without_the_generation_that_is_to_be_recorded() -> None:
    rules = polled(poll(10.0, generation="new"))
    assert rules.epoch_to_replace(E2, 10.2) is None
    rules.polled(poll(11.0, generation="new", recorded_generation="new", epoch=E2))
    assert rules.epoch_to_replace(E3, 11.2) == E2


def test_a_change_of_generation_that_others_recorded_with_an_epoch_needs_no_second_purge() -> None:
    """What this process has put since had positions of the epoch before."""
    rules = polled(poll(10.0, counter=7))
    rules.polled(poll(11.0, generation="new", recorded_generation="new", epoch=E2, counter=5))
    assert rules.is_open(11.2)
    assert rules.change_to_purge() is None


def test_a_change_of_generation_that_was_recorded_in_the_same_epoch_is_purged_for_as_well() -> None:
    """What this process has put since may be from the database before."""
    rules = polled(poll(10.0), poll(11.0, generation="new", recorded_generation="new"))
    assert not rules.is_open(11.2)
    change = rules.change_to_purge()
    assert change == Change(1, "new", "new", E1)
    rules.purged(change, E2)
    assert not rules.is_open(11.2)
    rules.polled(poll(12.0, generation="new", recorded_generation="new", epoch=E2))
    assert rules.is_open(12.2)


def test_a_counter_that_goes_backwards_shows_a_database_that_was_restored() -> None:
    rules = polled(poll(10.0, counter=7), poll(11.0, counter=6))
    assert not rules.is_open(11.2)
    change = rules.change_to_purge()
    assert change is not None
    # Another epoch, by a process that does not know of it, is no purge.
    rules.polled(poll(11.5, counter=6, epoch=E3))
    assert not rules.is_open(11.7)
    # Before it is purged for, it is restored once more.
    rules.polled(poll(12.0, counter=5))
    rules.purged(change, E2)
    rules.polled(poll(13.0, counter=5, epoch=E2))
    assert not rules.is_open(13.2)
    again = rules.change_to_purge()
    assert again is not None
    rules.purged(again, E3)
    rules.polled(poll(14.0, counter=5, epoch=E3))
    assert rules.is_open(14.2)


def test_a_counter_that_rises_shows_nothing() -> None:
    rules = polled(poll(10.0, counter=7), poll(11.0, counter=7), poll(12.0, counter=9))
    assert rules.is_open(12.2)


def test_nothing_is_filled_until_the_readers_database_is_known_to_be_the_one_polled() -> None:
    rules = polled(poll(10.0))
    assert rules.pool_is_unknown()
    assert not rules.fills(E1, 10.2)
    rules.pool_showed("g")
    assert rules.fills(E1, 10.2)
    assert not rules.pool_is_unknown()
    rules.polled(poll(11.0, generation="new", recorded_generation="new", epoch=E2))
    assert rules.is_open(11.2)
    assert not rules.fills(E2, 11.2)
    rules.pool_showed("new")
    assert rules.fills(E2, 11.2)


def test_nothing_is_filled_while_the_gate_is_closed_or_with_a_position_of_another_epoch() -> None:
    rules = polled(poll(10.0))
    rules.pool_showed("g")
    assert not rules.fills(E2, 10.2)
    assert not rules.fills(E1, 13.2)


@pytest.mark.parametrize("heard", [False, True])
def test_the_counters_are_raised_unless_somebody_else_has_raised_them(heard: bool) -> None:
    first, second = poll(10.0, counter=3, heard=3), poll(11.0, counter=3, heard=3)
    rules = polled(first, second)
    if heard:
        rules.replied(E1, 11.0)
    assert rules.raises(first, 11.2) == (True, heard)
    rules.polled(poll(12.0, counter=4, heard=4))
    if heard:
        rules.replied(E1, 12.0)
    assert rules.raises(second, 12.2) == (False, False)
