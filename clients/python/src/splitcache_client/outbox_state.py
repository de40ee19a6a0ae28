"""What is to be seen of the outbox from outside: the gate and the bound of this moment."""

from __future__ import annotations

import math
from collections.abc import Callable

from splitcache_client.outbox_rules import REPLY_AGE_MAX_S, OutboxRules


class RulesState:
    """Of the rules, at the time of a clock. May be asked in any thread."""

    def __init__(self, rules: OutboxRules, monotonic: Callable[[], float]) -> None:
        self._rules = rules
        self._monotonic = monotonic

    def is_open(self) -> bool:
        return self._rules.is_open(self._monotonic())

    def gate_age_s(self) -> float:
        """Of the poll by which the gate is judged; infinite if there is none."""
        return self._gate_age_s(self._monotonic())

    def bound_s(self) -> float:
        """How stale a reply can be that is in use now. What committed before the last poll is
        announced, or shown by it; all else is younger than the poll."""
        # Read once: a gate that closes between two readings would seem open beyond its bound.
        now = self._monotonic()
        if not self._rules.is_open(now):
            return 0.0
        return max(self._gate_age_s(now), self._rules.oldest_row_s(now)) + REPLY_AGE_MAX_S

    def _gate_age_s(self, now: float) -> float:
        poll = self._rules.last_counted
        return now - poll.sent_at if poll is not None else math.inf

    def rows(self) -> int:
        """Of the last poll; 10,001 are that many or more."""
        poll = self._rules.last_seen
        return len(poll.rows) if poll is not None else 0

    def oldest_row_s(self) -> float:
        """Of those that this process has not announced; infinite if unknown."""
        return self._rules.oldest_row_s(self._monotonic())
