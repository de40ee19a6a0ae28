"""Which epoch of the homeserver's log this client is in."""

from __future__ import annotations

from collections import OrderedDict

# A new epoch comes with a restart of the sidecar and with each suspension.
PAST_EPOCHS_MAX = 1_000


class Epochs:
    """Follows the epochs that replies name.

    Epochs are never reused. One that was replaced and comes back shows that two sidecars answer
    at one address, which do not hear each other's changes: the client must stop.
    """

    def __init__(self) -> None:
        self.current: bytes | None = None
        # The epoch in which this client has declared the homeserver's writers.
        self.declared: bytes | None = None
        self.came_back = False
        # The replaced epoch, and which count of epochs it was replaced at.
        self._past: OrderedDict[bytes, int] = OrderedDict()
        self._count = 0

    @property
    def mark(self) -> int:
        """Taken when a request is sent, and given with its reply."""
        return self._count

    def observe(self, epoch: bytes, mark: int) -> bool:
        """Takes the epoch of a reply; returns whether it is the current one.

        A late reply to a request from before the epoch was replaced says nothing.
        """
        if epoch == self.current:
            return True
        replaced_at = self._past.get(epoch)
        if replaced_at is not None:
            if mark >= replaced_at:
                self.came_back = True
            return False
        if self.current is not None:
            self._count += 1
            self._past[self.current] = self._count
            if len(self._past) > PAST_EPOCHS_MAX:
                self._past.popitem(last=False)
        self.current = epoch
        return True

    def usable(self, epoch: bytes) -> bool:
        """Whether a reply of this epoch may be used: not before this client has declared in it."""
        return not self.came_back and epoch == self.current == self.declared
