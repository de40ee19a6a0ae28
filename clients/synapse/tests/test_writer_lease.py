"""The writer's rules, each by itself."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from splitcache_synapse.writer_lease import (
    ATTACHED,
    DETACHED,
    JOINING,
    Renewal,
    WriterLease,
)

LEASE_S = 5.0


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.advance(1_000)
    return clock


@pytest.fixture
def lease(clock: Clock) -> WriterLease:
    return WriterLease(clock.seconds, start_delay_s=2)


def renew(lease: WriterLease, token: bytes = b"token") -> Renewal:
    assert lease.may_renew()
    renewal = lease.ask()
    lease.granted(renewal, token, LEASE_S)
    return renewal


def attach(lease: WriterLease, clock: Clock) -> None:
    clock.advance(2)
    renew(lease)
    assert lease.state == ATTACHED
    assert lease.may_read


def test_asks_for_its_first_lease_only_after_the_delay(lease: WriterLease, clock: Clock) -> None:
    assert not lease.may_renew()
    clock.advance(1.99)
    assert not lease.may_renew()
    clock.advance(0.01)
    assert lease.may_renew()


def test_announces_before_its_first_lease_and_reads_nothing(lease: WriterLease) -> None:
    assert lease.state == JOINING
    assert lease.begin().announces
    assert not lease.may_read


def test_reads_until_the_lease_is_over_by_its_own_clock(lease: WriterLease, clock: Clock) -> None:
    attach(lease, clock)
    clock.advance(LEASE_S - 0.01)
    assert lease.may_read
    clock.advance(0.01)
    assert not lease.may_read
    # Frozen, it still owes what it changes.
    assert lease.begin().announces


def test_counts_the_lease_from_the_issue_of_the_token_it_carried(
    lease: WriterLease, clock: Clock
) -> None:
    attach(lease, clock)
    clock.advance(3)
    delayed = lease.ask()
    clock.advance(1.5)
    lease.granted(delayed, b"second", LEASE_S)
    clock.advance(0.5)
    assert not lease.may_read


def test_counts_a_first_lease_from_before_it_was_asked_for(
    lease: WriterLease, clock: Clock
) -> None:
    clock.advance(2)
    first = lease.ask()
    clock.advance(4)
    lease.granted(first, b"token", LEASE_S)
    assert lease.may_read
    clock.advance(1)
    assert not lease.may_read


def test_does_not_renew_while_a_change_is_pending_for_half_a_lease(
    lease: WriterLease, clock: Clock
) -> None:
    attach(lease, clock)
    pending = lease.begin()
    lease.committing(pending)
    clock.advance(LEASE_S / 2 - 0.01)
    assert lease.may_renew()
    clock.advance(0.01)
    assert not lease.may_renew()
    lease.end(pending)
    assert lease.may_renew()


def test_a_change_is_pending_from_before_its_commit(lease: WriterLease, clock: Clock) -> None:
    attach(lease, clock)
    pending = lease.begin()
    lease.committing(pending)
    clock.advance(LEASE_S / 2)
    pending.committed_at = clock.seconds()
    assert not lease.may_renew()


def test_the_first_of_several_attempts_to_commit_counts(lease: WriterLease, clock: Clock) -> None:
    attach(lease, clock)
    pending = lease.begin()
    lease.committing(pending)
    clock.advance(2)
    lease.committing(pending)
    clock.advance(0.5)
    assert not lease.may_renew()


def test_a_long_transaction_costs_no_lease_before_its_commit(
    lease: WriterLease, clock: Clock
) -> None:
    attach(lease, clock)
    lease.begin()
    clock.advance(60)
    assert lease.may_renew()


def test_gives_up_two_lease_times_after_the_commit(lease: WriterLease, clock: Clock) -> None:
    attach(lease, clock)
    pending = lease.begin()
    lease.committing(pending)
    clock.advance(100)
    assert not lease.given_up(pending)
    pending.committed_at = clock.seconds()
    clock.advance(2 * LEASE_S - 0.01)
    assert not lease.given_up(pending)
    clock.advance(0.01)
    assert lease.given_up(pending)


def test_detached_it_neither_announces_nor_reads(lease: WriterLease, clock: Clock) -> None:
    attach(lease, clock)
    lease.detach()
    assert lease.state == DETACHED
    assert not lease.begin().announces
    assert not lease.may_read


def test_detached_it_asks_again_only_when_what_began_meanwhile_has_ended(
    lease: WriterLease, clock: Clock
) -> None:
    attach(lease, clock)
    lease.detach()
    begun = lease.begin()
    clock.advance(100)
    assert not lease.may_renew()
    # Also where it began after that was asked.
    assert lease.ask() is None
    assert lease.state == DETACHED
    lease.end(begun)
    assert lease.may_renew()


def test_detached_it_comes_back_as_a_new_process(lease: WriterLease, clock: Clock) -> None:
    attach(lease, clock)
    lease.detach()
    assert lease.ask().token == b""


def test_detached_it_ignores_what_it_asked_before(lease: WriterLease, clock: Clock) -> None:
    attach(lease, clock)
    earlier = lease.ask()
    lease.detach()
    lease.granted(earlier, b"late", LEASE_S)
    assert lease.state == DETACHED
    assert lease.ask().token == b""


def test_announces_from_the_moment_it_asks_again(lease: WriterLease, clock: Clock) -> None:
    attach(lease, clock)
    lease.detach()
    lease.ask()
    assert lease.state == JOINING
    assert lease.begin().announces
    assert not lease.may_read


def test_renews_with_the_token_of_the_last_reply(lease: WriterLease, clock: Clock) -> None:
    clock.advance(2)
    assert renew(lease, b"first").token == b""
    assert renew(lease, b"second").token == b"first"
    assert lease.ask().token == b"second"
