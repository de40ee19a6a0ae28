"""What one poll of the outbox shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

# Beyond so many rows everything is purged instead of relayed one by one.
ROWS_MAX = 10_000


@dataclass(frozen=True)
class Poll:
    """What one poll has read. A poll that failed is none."""

    # Just before it was sent.
    sent_at: float
    # Just after it was answered.
    answered_at: float
    # The IDs of the rows; more than ROWS_MAX of them are not all.
    rows: tuple[str, ...]
    # The registered epoch of the cache; empty if there is none yet.
    epoch: bytes
    # The generation of the database that answered, and the recorded one.
    generation: str
    recorded_generation: str
    # Raised by pollers; goes backwards only when the database was restored.
    counter: int
    # Raised by pollers that have had a reply of the registered epoch.
    heard: int


class Change(NamedTuple):
    """The database that answers is another one than before, or an earlier state of it."""

    # Counts those that this process has seen.
    number: int
    recorded_generation: str
    generation: str
    # The registered epoch with it. The one that PurgeHomeserver begins takes its place.
    epoch: bytes
