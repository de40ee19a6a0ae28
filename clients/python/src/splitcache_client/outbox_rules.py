"""The rules of the outbox, without any I/O: what a poll proves, when the cache may be read, which
rows are relayed, and which epoch counts.

They are the rules O2 to O9 of the protocol, which was checked exhaustively at small scope: each
rule that is taken away lets a stale event through. All times are seconds of one monotonic clock of
this process, and are passed in.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable

from splitcache_client.epoch_rules import EPOCH_SILENCE_MAX_S, EpochRules
from splitcache_client.outbox_poll import ROWS_MAX, Change, Poll

# How often a process polls the table.
POLL_INTERVAL_S = 1.0
# R: a process that sees an older row relays it.
RELAY_AFTER_S = 2.0
# G: a poll permits reading for this long.
POLL_AGE_MAX_S = 3.0
# A: a row that this process has not announced forbids reading from this age on.
ROW_AGE_MAX_S = 4.0
# D: a reply may be used for this long after its request was sent.
REPLY_AGE_MAX_S = 0.25
# T: a write waits no longer for its announcement. At least G and A.
WRITE_WAIT_S = 4.0


class OutboxRules:
    """What this process knows of the outbox. May be asked in any thread."""

    def __init__(self, *, epoch_silence_s: float = EPOCH_SILENCE_MAX_S) -> None:
        """`epoch_silence_s` differs a little between processes, so that one acts first."""
        self._epochs = EpochRules(epoch_silence_s)
        self._lock = threading.RLock()
        # The last poll that counts (O3), and the last one at all.
        self._last: Poll | None = None
        self._seen: Poll | None = None
        # Of each row of the last poll: when the last poll was sent that did not show it (O4).
        self._absent_at: dict[str, float] = {}
        # Rows announced by this process in the registered epoch, and when.
        self._announced: dict[str, float] = {}
        self._counter = -1
        # How often the database became another one without a sign of it in the database, and up
        # to which of these changes all was purged (O8).
        self._changes = self._changes_purged = 0
        # The epoch that this process has registered for a change, and up to which one, until a
        # poll shows it.
        self._begun: tuple[bytes, int] = (b"", 0)
        self._pool_generation = ""
        # The gate is open until then, unless something is learned before.
        self._closes_at = -math.inf

    # --- What is learned

    def polled(self, poll: Poll) -> None:
        with self._lock:
            self._learn_generation(poll)
            if self._epochs.polled(poll.epoch, poll.heard, poll.answered_at):
                self._announced.clear()
            self._seen = poll
            if len(poll.rows) <= ROWS_MAX:
                before = self._last.sent_at if self._last is not None else -math.inf
                known = self._absent_at
                self._absent_at = {row: known.get(row, before) for row in poll.rows}
                self._forget_announced(poll)
                self._last = poll
            self._judge()

    def announced(self, rows: Iterable[str], epoch: bytes, at: float) -> None:
        """The rows' announcements, sent after their COMMIT or after a poll that showed them, were
        answered OK in this epoch."""
        with self._lock:
            if self._epochs.uses(epoch):
                self._announced.update(dict.fromkeys(rows, at))
                self._judge()

    def purged(self, change: Change, epoch: bytes) -> None:
        """PurgeHomeserver, sent for this change, has begun this epoch, and it was registered with
        the generation. The gate opens when a poll shows it: until then replies of the epoch before
        are used."""
        with self._lock:
            self._begun = (epoch, change.number)

    def replied(self, epoch: bytes, at: float) -> None:
        """The cache has replied in this epoch."""
        with self._lock:
            self._epochs.replied(epoch, at)

    def is_superseded(self, epoch: bytes) -> None:
        """The database says so."""
        with self._lock:
            self._epochs.is_superseded(epoch)

    def pool_showed(self, generation: str) -> None:
        """A query on the connections that readers use was answered by this generation (O8)."""
        with self._lock:
            self._pool_generation = generation

    # --- What follows

    def is_open(self, now: float) -> bool:
        """O5: whether a lookup may be sent now."""
        with self._lock:
            return now < self._closes_at

    def uses(self, epoch: bytes) -> bool:
        """O9: whether replies of this epoch may be used."""
        with self._lock:
            return self._epochs.uses(epoch)

    def fills(self, epoch: bytes, now: float) -> bool:
        """Whether what readers have read from the database may be put with such a position."""
        with self._lock:
            return (
                self.is_open(now)
                and self.uses(epoch)
                and self._last is not None
                and self._pool_generation == self._last.generation
            )

    def pool_is_unknown(self) -> bool:
        """Whether the readers' connections are to be asked for their generation."""
        with self._lock:
            return self._seen is not None and self._pool_generation != self._seen.generation

    def write_may_return(self, epoch: bytes, now: float) -> bool:
        """O9: whether an OK of this epoch, after whose row was deleted under it, counts."""
        with self._lock:
            return self._epochs.counts(epoch, now)

    def rows_to_relay(self, now: float) -> list[str]:
        """O4: the rows of the last poll that this process is to announce."""
        with self._lock:
            return [
                row
                for row, absent_at in self._absent_at.items()
                if row not in self._announced and now - absent_at > RELAY_AFTER_S
            ]

    def rows_to_delete(self) -> list[str]:
        """Rows that the last poll showed though this process has announced them."""
        with self._lock:
            return [row for row in self._absent_at if row in self._announced]

    def rows_to_purge(self) -> tuple[str, ...]:
        """O3: the rows seen, if there are so many that everything is purged for them."""
        with self._lock:
            if self._seen is None or len(self._seen.rows) <= ROWS_MAX:
                return ()
            return self._seen.rows

    def change_to_purge(self) -> Change | None:
        """O8: the change of the database for which all is to be purged."""
        with self._lock:
            seen = self._seen
            if seen is None or not self._is_changed(seen):
                return None
            return Change(self._changes, seen.recorded_generation, seen.generation, seen.epoch)

    def epoch_to_replace(self, proposed: bytes, sent_at: float) -> bytes | None:
        """O9: the registered epoch, if `proposed` may be registered in its place. `sent_at`: of
        the request whose reply was of that epoch. None if it may not."""
        with self._lock:
            if self._seen is None or not self._epochs.may_register(proposed, sent_at):
                return None
            if self._is_changed(self._seen):
                # The next epoch is registered together with the generation (O8).
                return None
            return self._epochs.current

    def is_new_epoch_due(self, now: float) -> bool:
        """O9: whether no process has had a reply of the registered epoch for too long."""
        with self._lock:
            seen = self._seen
            is_polling = seen is not None and now - seen.sent_at < POLL_AGE_MAX_S
            return is_polling and self._epochs.is_new_one_due(now)

    def raises(self, before: Poll | None, now: float) -> tuple[bool, bool]:
        """Whether this process raises the counter, and `heard`, after the last poll: when nobody
        else has since `before`, the poll before it."""
        with self._lock:
            seen = self._seen
            if seen is None:
                return False, False
            has_heard = self._epochs.heard_within(2 * POLL_INTERVAL_S, now)
            counter = before is None or before.counter == seen.counter
            heard = has_heard and (before is None or before.heard == seen.heard)
            return counter, heard

    def oldest_row_s(self, now: float) -> float:
        """The age of the oldest row that this process has not announced; infinite if unknown."""
        with self._lock:
            ages = [now - at for row, at in self._absent_at.items() if row not in self._announced]
            return max(ages, default=0.0)

    @property
    def last_counted(self) -> Poll | None:
        with self._lock:
            return self._last

    @property
    def last_seen(self) -> Poll | None:
        with self._lock:
            return self._seen

    @property
    def epoch(self) -> bytes:
        with self._lock:
            return self._epochs.current

    # --- How it is learned

    def _learn_generation(self, poll: Poll) -> None:
        seen = self._seen
        if seen is not None and poll.generation != seen.generation:
            # Others may have recorded it already. With another epoch, what this process has put
            # since is gone; in the same one it is from the old database for all that is known.
            if poll.generation == poll.recorded_generation and poll.epoch == seen.epoch:
                self._changes += 1
        elif poll.counter < self._counter:
            self._changes += 1
        self._counter = poll.counter
        if poll.epoch == self._begun[0]:
            self._changes_purged = self._begun[1]

    def _forget_announced(self, poll: Poll) -> None:
        shown = self._absent_at
        self._announced = {
            row: at for row, at in self._announced.items() if row in shown or at > poll.sent_at
        }

    def _is_changed(self, poll: Poll) -> bool:
        is_new_here = self._changes != self._changes_purged
        return is_new_here or poll.generation != poll.recorded_generation

    def _judge(self) -> None:
        """O5, so that asking costs nothing."""
        last = self._last
        if last is None or self._seen is None or self._is_changed(self._seen):
            self._closes_at = -math.inf
            return
        oldest_at = min(
            (at for row, at in self._absent_at.items() if row not in self._announced),
            default=math.inf,
        )
        self._closes_at = min(last.sent_at + POLL_AGE_MAX_S, oldest_at + ROW_AGE_MAX_S)
