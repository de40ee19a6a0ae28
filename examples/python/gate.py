"""The rules of docs/announcing.md without any I/O: which rows are overdue, whether the cache may be
read, and which epoch counts. All times are seconds of the clock of this process."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

clock = time.monotonic

POLL_S = 1.0
# R, G, A, D, T and N of docs/announcing.md.
RELAY_AFTER_S = 2.0
POLL_AGE_MAX_S = 3.0
ROW_AGE_MAX_S = 4.0
REPLY_AGE_MAX_S = 0.25
WRITE_WAIT_S = 4.0
POSITION_AGE_MAX_S = 2.0
EPOCH_SILENCE_S = 30.0
ROWS_MAX = 10_000


@dataclass(frozen=True)
class Poll:
    """What one poll showed."""

    # Just before it was sent.
    sent_at: float
    # IDs; at most one more than ROWS_MAX.
    rows: list[str]
    # The registered epoch, hexadecimal; empty before the first one.
    epoch: str
    # The life of the database that answered, and the recorded one.
    generation: str
    recorded_generation: str
    # Raised by pollers: `heard` by those that have had a reply of the registered epoch.
    counter: int
    heard: int


class Gate:
    """May be asked in any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._epoch = ""
        self._epoch_since = math.inf
        self._heard = -1
        self._heard_since = math.inf
        self._counter = -1
        self._is_other_database = False
        # When the last successful poll was sent.
        self._polled_at = -math.inf
        # Of each row that it showed: when the last successful poll was sent that did not show it.
        self._absent_at: dict[str, float] = {}
        # Rows that this process has announced in the registered epoch, and when.
        self._announced: dict[str, float] = {}

    def learn(self, poll: Poll) -> None:
        with self._lock:
            now = clock()
            if poll.epoch != self._epoch:
                # What was announced before went to another log.
                self._announced.clear()
                self._epoch, self._epoch_since, self._heard = poll.epoch, now, -1
            if poll.heard != self._heard:
                self._heard, self._heard_since = poll.heard, now
            if poll.generation != poll.recorded_generation or poll.counter < self._counter:
                self._is_other_database = True
            self._counter = poll.counter
            if len(poll.rows) > ROWS_MAX:
                # These are not all rows: the poll does not count.
                return
            known = self._absent_at
            self._absent_at = {row: known.get(row, self._polled_at) for row in poll.rows}
            self._polled_at = poll.sent_at
            self._announced = {
                row: at
                for row, at in self._announced.items()
                if row in self._absent_at or at > poll.sent_at
            }

    def announced(self, rows: Iterable[str], epoch: str) -> bool:
        """These announcements were answered OK in this epoch. False: it is not the registered
        one, so they do not count."""
        with self._lock:
            if epoch != self._epoch:
                return False
            self._announced.update(dict.fromkeys(rows, clock()))
            return True

    def purged(self) -> None:
        """Everything was purged because of the other database, and the new epoch registered."""
        with self._lock:
            self._is_other_database = False

    def is_open(self) -> bool:
        """Whether a lookup may be sent now, and what is kept be used."""
        with self._lock:
            now = clock()
            return (
                now - self._polled_at < POLL_AGE_MAX_S
                and all(now - at < ROW_AGE_MAX_S for at in self._owed().values())
                and not self._is_other_database
            )

    def uses(self, epoch: str) -> bool:
        """Whether replies and positions of this epoch may be used."""
        with self._lock:
            return epoch != "" and epoch == self._epoch

    def counts(self, epoch: str) -> bool:
        """Whether an OK of this epoch, under which the row was deleted, makes a write visible:
        until then another process may still read in the epoch before."""
        with self._lock:
            return epoch == self._epoch and clock() - self._epoch_since >= POLL_AGE_MAX_S

    def overdue(self) -> list[str]:
        """The rows that this process must relay."""
        with self._lock:
            now = clock()
            return [row for row, at in self._owed().items() if now - at > RELAY_AFTER_S]

    def deletable(self) -> list[str]:
        """Rows that the last poll showed, although this process has announced them."""
        with self._lock:
            return [row for row in self._absent_at if row in self._announced]

    @property
    def is_other_database(self) -> bool:
        with self._lock:
            return self._is_other_database

    def is_epoch_silent(self) -> bool:
        """Whether no process has had a reply of the registered epoch for too long."""
        with self._lock:
            return self._epoch != "" and clock() - self._heard_since >= EPOCH_SILENCE_S

    def _owed(self) -> dict[str, float]:
        return {row: at for row, at in self._absent_at.items() if row not in self._announced}
