"""When what was read from the sidecar, and is kept in the near cache, may be used.

Pure: all times are seconds of one monotonic clock, and are passed in. On the loop's thread.
"""

from __future__ import annotations

import math
from collections import deque

# N: what is kept may be used for this long after a position request was sent.
POSITION_AGE_MAX_S = 2.0
# Positions of answers that the stream has not applied yet.
_ANSWERS_MAX = 100


class NearCache:
    """What is kept is used only once a request, sent while the gate was open and younger than N,
    was answered with a position, and the stream of notices has applied that position. Frames of
    the stream alone prove nothing: after a freeze they may be old ones that lay in a buffer."""

    def __init__(self) -> None:
        # The epoch of the stream, and what it has applied; no epoch before its first frame. One
        # object, since other threads read it.
        self.position: tuple[bytes, int] = (b"", 0)
        # When the last Reset or fresh start of the stream was applied: a reply to an older request
        # is not kept.
        self._reset_at = math.inf
        # When the newest request was sent whose position is applied.
        self._proved_at = -math.inf
        # Of answered requests: when sent, and the position, each position once.
        self._answers: deque[tuple[float, int]] = deque()

    @property
    def epoch(self) -> bytes:
        return self.position[0]

    @property
    def applied(self) -> int:
        return self.position[1]

    @property
    def proved_at(self) -> float:
        """When the newest request was sent whose position is applied; -inf if none was."""
        return self._proved_at

    def began(self, epoch: bytes, sequence: int, now: float) -> None:
        """Reset, or Ready with resumed: false. All that was kept must have been dropped."""
        self.position = (epoch, sequence)
        self._reset_at = now
        self._proved_at = -math.inf
        self._answers.clear()

    def advanced(self, sequence: int) -> None:
        """The stream has applied all up to there, in its epoch."""
        self.position = (self.epoch, max(self.applied, sequence))
        while self._answers and self._answers[0][1] <= self.applied:
            self._proved_at = max(self._proved_at, self._answers.popleft()[0])

    def answered(self, epoch: bytes, sequence: int, sent_at: float) -> None:
        """A request, sent while the gate was open, was answered with this position."""
        if epoch != self.epoch or sent_at < self._reset_at:
            return
        if sequence <= self.applied:
            self._proved_at = max(self._proved_at, sent_at)
        elif self._answers and self._answers[-1][1] == sequence:
            self._answers[-1] = (max(self._answers[-1][0], sent_at), sequence)
        elif len(self._answers) < _ANSWERS_MAX:
            # Else it is left out: the stream applies the first ones first.
            self._answers.append((sent_at, sequence))

    def is_proved(self, now: float) -> bool:
        """Whether what is kept may be used, if the gate is open now."""
        return now - self._proved_at < POSITION_AGE_MAX_S

    def may_keep(self, epoch: bytes, sent_at: float) -> bool:
        """Whether a reply of this epoch to a request sent then may be kept: unless a notice that
        was applied since names the event."""
        return epoch == self.epoch and epoch != b"" and sent_at >= self._reset_at
