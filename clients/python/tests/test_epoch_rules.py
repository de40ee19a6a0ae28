"""Rule O9: which epoch of the cache counts. Each test fails when its rule is taken away."""

from __future__ import annotations

from client_support.polls import E1, E2, E3, poll, polled
from splitcache_client.epoch_rules import COUNTS_AFTER_S
from splitcache_client.outbox_rules import POLL_AGE_MAX_S


def test_only_the_registered_epoch_is_used() -> None:
    rules = polled(poll(10.0, epoch=b""))
    assert not rules.uses(b"")
    assert not rules.uses(E1)
    rules.polled(poll(11.0, epoch=E1))
    assert rules.uses(E1)
    assert not rules.uses(E2)
    rules.polled(poll(12.0, epoch=E2))
    assert not rules.uses(E1)
    assert rules.uses(E2)


def test_an_epoch_that_replies_may_be_registered_in_the_place_of_the_one_before() -> None:
    rules = polled(poll(10.0, epoch=b""))
    assert rules.epoch_to_replace(E1, 10.2) == b""
    rules.polled(poll(11.0, epoch=E1))
    assert rules.epoch_to_replace(E1, 11.2) is None
    assert rules.epoch_to_replace(E2, 11.2) == E1


def test_an_epoch_that_was_replaced_is_never_registered_again() -> None:
    rules = polled(poll(10.0, epoch=E1), poll(11.0, epoch=E2))
    assert rules.epoch_to_replace(E1, 11.5) is None
    # One whose replacement this process has not seen, but the database knows of.
    rules.is_superseded(E3)
    assert rules.epoch_to_replace(E3, 11.5) is None


def test_a_late_reply_registers_nothing() -> None:
    rules = polled(poll(10.0, epoch=E1), poll(11.0, epoch=E2))
    # Its request was sent before the registered epoch was seen.
    assert rules.epoch_to_replace(E3, 11.05) is None
    assert rules.epoch_to_replace(E3, 11.2) == E2


def test_what_was_announced_in_another_epoch_counts_for_nothing() -> None:
    rules = polled(poll(10.0, "a"))
    rules.announced(["a"], E2, 10.2)
    assert not rules.is_open(10.3)


def test_what_was_announced_is_forgotten_when_the_epoch_changes() -> None:
    rules = polled(poll(9.0), poll(10.0, "a"))
    rules.announced(["a"], E1, 10.2)
    rules.polled(poll(11.0, "a", epoch=E2))
    assert rules.rows_to_delete() == []
    assert rules.rows_to_relay(11.2) == ["a"]


def test_an_ok_counts_once_nobody_reads_in_the_epoch_before() -> None:
    rules = polled(poll(10.0, answered_at=10.5))
    assert COUNTS_AFTER_S >= POLL_AGE_MAX_S
    # From when the first poll that showed it was answered, not from when it was sent.
    assert not rules.write_may_return(E1, 10.5 + COUNTS_AFTER_S - 0.01)
    assert rules.write_may_return(E1, 10.5 + COUNTS_AFTER_S)
    assert not rules.write_may_return(E2, 20.0)
    rules.polled(poll(20.0, epoch=E2))
    assert not rules.write_may_return(E1, 30.0)


def test_a_new_epoch_is_due_when_nobody_hears_of_the_registered_one() -> None:
    rules = polled(poll(10.0, heard=5), poll(40.0, heard=5))
    assert not rules.is_new_epoch_due(40.0)
    assert rules.is_new_epoch_due(40.2)


def test_no_new_epoch_is_due_while_this_process_or_another_hears_of_it() -> None:
    rules = polled(poll(10.0, heard=5))
    rules.replied(E1, 20.0)
    rules.polled(poll(40.0, heard=5))
    assert not rules.is_new_epoch_due(41.0)
    another = polled(poll(10.0, heard=5), poll(39.0, heard=5), poll(40.0, heard=6))
    assert not another.is_new_epoch_due(41.0)
    # That a reply came in another epoch is nothing to the registered one.
    rules.replied(E2, 49.0)
    rules.polled(poll(50.5, heard=5))
    assert rules.is_new_epoch_due(51.0)


def test_no_new_epoch_is_due_before_one_is_registered_or_while_polls_fail() -> None:
    assert not polled(poll(10.0, epoch=b""), poll(50.0, epoch=b"")).is_new_epoch_due(51.0)
    rules = polled(poll(10.0))
    assert not rules.is_new_epoch_due(50.0)
    # What another process did meanwhile is not known yet.
    rules.polled(poll(50.0, heard=9))
    assert not rules.is_new_epoch_due(51.0)


def test_a_new_epoch_has_its_time_to_be_heard_of() -> None:
    rules = polled(poll(10.0, heard=5), poll(50.0, heard=5, epoch=E2))
    assert not rules.is_new_epoch_due(51.0)
