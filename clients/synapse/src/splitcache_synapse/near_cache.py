"""When what was read from the sidecar, and is kept in Synapse's own caches, may be used.

Pure: all times are seconds of one monotonic clock, and are passed in. On the reactor's thread.
"""

from __future__ import annotations

import math
from collections import deque

# N: what is kept may be used for this long after a position request was sent.
POSITION_AGE_MAX_S = 2.0
# Answers whose position the stream has not applied yet.
_ANSWERS_MAX = 100


class NearCache:
    """What is kept is used only once a position request, sent while the gate was open and younger
    than N, was answered, and the stream of notices has applied that position. Frames of the stream
    alone prove nothing: after a freeze they may be old ones that lay in a buffer."""

    def __init__(self) -> None:
        # The epoch of the stream, and what it has applied; no epoch before its first frame. One
        # object, since other threads read it.
        self.position: tuple[bytes, int] = (b"", 0)
        # When the last Reset or fresh start of the stream was applied: a reply to an older request
        # is not kept.
        self._reset_at = math.inf
        # When the newest position request was sent whose position is applied.
        self._proved_at = -math.inf
        # Of answered requests: when sent, and the position.
        self._answers: deque[tuple[float, int]] = deque(maxlen=_ANSWERS_MAX)

    @property
    def epoch(self) -> bytes:
        return self.position[0]

    @property
    def applied(self) -> int:
        return self.position[1]

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
        """A position request, sent while the gate was open, was answered so."""
        if epoch != self.epoch or sent_at < self._reset_at:
            return
        self._answers.append((sent_at, sequence))
        self.advanced(self.applied)

    def is_proved(self, now: float) -> bool:
        """Whether what is kept may be used, if the gate is open now."""
        return now - self._proved_at < POSITION_AGE_MAX_S

    def may_keep(self, epoch: bytes, sent_at: float) -> bool:
        """Whether a reply of this epoch to a request sent then may be kept: unless a notice that
        was applied since names the event."""
        return epoch == self.epoch and epoch != b"" and sent_at >= self._reset_at
