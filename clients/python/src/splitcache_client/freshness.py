"""What readers and writers of this process ask of the outbox."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Freshness(Protocol):
    """Asked on the loop's thread."""

    def is_open(self) -> bool:
        """Whether a lookup may be sent now, and what is kept may be used."""

    def uses(self, epoch: bytes) -> bool:
        """Whether replies of this epoch may be used."""

    def fills(self, epoch: bytes) -> bool:
        """Whether what was read from the database may be put with a position of this epoch."""

    def replied(self, epoch: bytes, sent_at: float) -> None:
        """A request that was sent then was answered in this epoch."""

    def announced(self, row: str, epoch: bytes, on_done: Callable[[bool], None]) -> None:
        """The row, whose COMMIT was answered, was then announced, and that answered OK. `on_done`
        is called with whether the row was deleted in this epoch."""

    def write_may_return(self, epoch: bytes) -> bool:
        """Whether an OK of this epoch counts, after the row was deleted in it."""


class Unchecked:
    """Freshness for tests whose reactor and database are not real: one process that
    announces all it changes. Everything is fresh, in the epoch that replied last."""

    def __init__(self) -> None:
        self._epoch = b""

    def is_open(self) -> bool:
        return True

    def uses(self, epoch: bytes) -> bool:
        return epoch == self._epoch

    def fills(self, epoch: bytes) -> bool:
        return epoch == self._epoch

    def replied(self, epoch: bytes, sent_at: float) -> None:
        self._epoch = epoch

    def announced(self, row: str, epoch: bytes, on_done: Callable[[bool], None]) -> None:
        on_done(True)

    def write_may_return(self, epoch: bytes) -> bool:
        return True
