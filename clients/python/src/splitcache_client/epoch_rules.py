"""Which epoch of the cache counts (O9). Pure: times are passed in."""

from __future__ import annotations

import math

# A write's OK counts once its epoch has been registered for this long: until then another process
# may still read in the epoch before.
COUNTS_AFTER_S = 3.0
# After so long without a reply of the registered epoch a new epoch is begun.
EPOCH_SILENCE_MAX_S = 30.0
# Superseded epochs that a process remembers; the database has them all.
_SUPERSEDED_MAX = 1_000


class EpochRules:
    """What this process knows of the registered epoch. Has no lock of its own."""

    def __init__(self, silence_s: float) -> None:
        self._silence_s = silence_s
        # Empty before one is registered.
        self.current = b""
        # When a poll first showed it.
        self._since = math.inf
        self._superseded: dict[bytes, None] = {}
        # What pollers raise that have had a reply of it, and since when it stands so.
        self._heard = -1
        self._heard_since = math.inf
        self._own_reply_at = -math.inf

    def polled(self, epoch: bytes, heard: int, answered_at: float) -> bool:
        """Takes what a poll has shown. True: another epoch is registered than before."""
        is_new = epoch != self.current
        if is_new:
            if self.current:
                self.is_superseded(self.current)
            self.current = epoch
            self._since = answered_at
            self._own_reply_at = -math.inf
            self._heard = -1
        if heard != self._heard:
            self._heard = heard
            self._heard_since = answered_at
        return is_new

    def replied(self, epoch: bytes, at: float) -> None:
        if epoch == self.current:
            self._own_reply_at = at

    def is_superseded(self, epoch: bytes) -> None:
        """The database says so."""
        self._superseded[epoch] = None
        while len(self._superseded) > _SUPERSEDED_MAX:
            del self._superseded[next(iter(self._superseded))]

    def uses(self, epoch: bytes) -> bool:
        return epoch != b"" and epoch == self.current

    def counts(self, epoch: bytes, now: float) -> bool:
        """Whether an OK of this epoch counts, after whose row was deleted under it."""
        return self.uses(epoch) and now - self._since >= COUNTS_AFTER_S

    def may_register(self, proposed: bytes, sent_at: float) -> bool:
        """Whether the epoch of a reply to a request sent then may replace the current one."""
        # A reply to a request from before the current one was seen may be a late one.
        is_late = self.current != b"" and sent_at <= self._since
        return proposed not in (b"", self.current, *self._superseded) and not is_late

    def heard_within(self, seconds: float, now: float) -> bool:
        """Whether this process has had a reply of the current epoch."""
        return now - self._own_reply_at < seconds

    def is_new_one_due(self, now: float) -> bool:
        """Whether neither this process nor any other has had a reply of it for too long."""
        return (
            self.current != b""
            and now - self._heard_since >= self._silence_s
            and not self.heard_within(self._silence_s, now)
        )
