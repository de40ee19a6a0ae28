"""A circuit breaker: after repeated failures no calls are made for a while."""

from __future__ import annotations

from collections.abc import Callable

FAILURES_TO_OPEN = 5
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0

CLOSED, HALF_OPEN, OPEN = 0, 1, 2


class Breaker:
    """Opens after five failures in a row; lets one call through after a pause that doubles."""

    def __init__(self, monotonic: Callable[[], float], report: Callable[[int], None]) -> None:
        """`report` is called with the new state at every change."""
        self._monotonic = monotonic
        self._report = report
        self._failures = 0
        self._pause_s = FIRST_PAUSE_S
        self._opened_at = 0.0
        self.state = CLOSED

    def allows(self) -> bool:
        """Whether a call may be made now. The caller then reports its outcome."""
        if self.state == CLOSED:
            return True
        # While half open, the one call that was let through is under way; should it never be
        # reported, another one may try after a further pause.
        if self._monotonic() - self._opened_at < self._pause_s:
            return False
        self._opened_at = self._monotonic()
        self._change(HALF_OPEN)
        return True

    def succeeded(self) -> None:
        self._failures = 0
        self._pause_s = FIRST_PAUSE_S
        self._change(CLOSED)

    def failed(self) -> None:
        self._failures += 1
        if self.state == CLOSED and self._failures < FAILURES_TO_OPEN:
            return
        if self.state == HALF_OPEN:
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        # A late failure of a call from before the breaker opened prolongs nothing.
        if self.state != OPEN:
            self._opened_at = self._monotonic()
        self._change(OPEN)

    def _change(self, state: int) -> None:
        if state != self.state:
            self.state = state
            self._report(state)
