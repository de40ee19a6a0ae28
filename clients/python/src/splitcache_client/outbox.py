"""Follows the outbox: polls it, relays what others left behind, and keeps the gate.

In a thread of its own, so that a busy loop neither closes the gate nor delays a relay. The rules
are in outbox_rules, the statements in outbox_table; here they are put together.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import Any

from splitcache_client.deletions import Deletions
from splitcache_client.metrics import ClientMetrics
from splitcache_client.outbox_poll import Change, Poll
from splitcache_client.outbox_rules import POLL_INTERVAL_S, OutboxRules
from splitcache_client.outbox_state import RulesState
from splitcache_client.outbox_table import OutboxTable, OutboxUnavailable
from splitcache_client.relay import Relay, Relayed

logger = logging.getLogger(__name__)

# Rows that are relayed in one go.
_RELAYED_MAX = 500


class Outbox:
    """Freshness by the table. The thread is started by `start`."""

    def __init__(
        self,
        *,
        table: OutboxTable,
        relay: Relay,
        rules: OutboxRules,
        reactor: Any,
        monotonic: Callable[[], float],
        metrics: ClientMetrics,
    ) -> None:
        self._table = table
        self._relay = relay
        self._rules = rules
        self._reactor = reactor
        self._monotonic = monotonic
        self._metrics = metrics
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._deletions = Deletions(table, reactor)
        # Proposals of epochs under way, and those that this process was refused.
        self._proposed: set[bytes] = set()
        self._poll_before: Poll | None = None
        self._polls_at = 0.0
        self._is_unavailable = False
        self.thread = threading.Thread(target=self._run, name="splitcache-outbox", daemon=True)
        metrics.watch_outbox(RulesState(rules, monotonic))

    def start(self) -> None:
        self._relay.start()
        self.thread.start()

    def stop(self) -> None:
        """Does what was asked of it before, then ends. Returns at once."""
        self._tasks.put(None)

    # --- Freshness

    def is_open(self) -> bool:
        return self._rules.is_open(self._monotonic())

    def uses(self, epoch: bytes) -> bool:
        return self._rules.uses(epoch)

    def fills(self, epoch: bytes) -> bool:
        return self._rules.fills(epoch, self._monotonic())

    def replied(self, epoch: bytes, sent_at: float) -> None:
        if self._rules.uses(epoch):
            self._rules.replied(epoch, self._monotonic())
            return
        self._metrics.replied_in_another_epoch()
        replaced = self._rules.epoch_to_replace(epoch, sent_at)
        if replaced is not None and epoch not in self._proposed:
            self._proposed.add(epoch)
            self._tasks.put(lambda: self._register(epoch, replaced))

    def announced(self, row: str, epoch: bytes, on_done: Callable[[bool], None]) -> None:
        self._rules.announced([row], epoch, self._monotonic())
        self._tasks.put(lambda: self._deletions.add(row, epoch, on_done))

    def write_may_return(self, epoch: bytes) -> bool:
        return self._rules.write_may_return(epoch, self._monotonic())

    # --- In the thread

    def _run(self) -> None:
        while True:
            try:
                if not self.turn(max(0.0, self._polls_at - self._monotonic())):
                    break
            except Exception:
                # Nothing here may end the thread: the gate would stay closed.
                logger.exception("splitcache: the outbox was not followed")
                self._polls_at = self._monotonic() + POLL_INTERVAL_S
        self._relay.stop()
        self._table.close()

    def turn(self, wait_s: float) -> bool:
        """Does the tasks that come within the wait, and polls if a poll is due. False: it is to
        stop."""
        goes_on = self._work(wait_s)
        self._deletions.run()
        if goes_on and self._monotonic() >= self._polls_at:
            self._polls_at = self._monotonic() + POLL_INTERVAL_S
            self._poll()
        return goes_on

    def _work(self, wait_s: float) -> bool:
        try:
            task = self._tasks.get(timeout=wait_s) if wait_s else self._tasks.get_nowait()
            while task is not None:
                task()
                task = self._tasks.get_nowait()
        except queue.Empty:
            return True
        return False

    def _poll(self) -> None:
        try:
            poll = self._table.poll()
        except OutboxUnavailable as error:
            if not self._is_unavailable:
                logger.warning("splitcache: the outbox cannot be read: %s", error)
            self._is_unavailable = True
            self._metrics.error("outbox")
            return
        if self._is_unavailable:
            logger.info("splitcache: the outbox can be read again")
        self._is_unavailable = False
        self._rules.polled(poll)
        self._raise_counters()
        self._mend()

    def _raise_counters(self) -> None:
        counter, heard = self._rules.raises(self._poll_before, self._monotonic())
        self._poll_before = self._rules.last_seen
        try:
            self._table.raise_counters(counter, heard, self._rules.epoch)
        except OutboxUnavailable as error:
            logger.info("splitcache: the outbox cannot be written: %s", error)

    def _mend(self) -> None:
        """Does the most urgent of what the last poll has shown to be owed."""
        deletable = self._rules.rows_to_delete()
        if deletable:
            self._deletions.delete(deletable, self._rules.epoch)
        if self._relay.is_busy:
            return
        now = self._monotonic()
        change = self._rules.change_to_purge()
        if change is not None:
            # At the first start there was none before.
            logger.log(
                logging.WARNING if change.recorded_generation else logging.INFO,
                "splitcache: the database is another one than before, or was restored; everything "
                "is purged from the cache (%r, was %r)",
                change.generation,
                change.recorded_generation,
            )
            # With a new epoch: a process that does not know of the change yet could go on filling
            # from the old database after a purge alone.
            self._relay.purge(
                lambda done: self._in_thread(done, lambda e: self._purged(change, e)),
                new_epoch=True,
            )
        elif self._rules.is_new_epoch_due(now):
            logger.warning(
                "splitcache: no sidecar answers in the registered epoch; a new one begins"
            )
            self._relay.purge(
                lambda done: self._in_thread(done, self._replied_to_relay), new_epoch=True
            )
        elif flood := self._rules.rows_to_purge():
            logger.warning("splitcache: too many rows in the outbox; everything is purged")
            self._relay.purge(lambda done: self._in_thread(done, lambda e: self._relayed(flood, e)))
        else:
            self._relay_rows(tuple(self._rules.rows_to_relay(now)[:_RELAYED_MAX]))

    def _relay_rows(self, rows: tuple[str, ...]) -> None:
        if not rows:
            return
        try:
            texts = self._table.announcements(rows)
        except OutboxUnavailable as error:
            logger.info("splitcache: the outbox cannot be read: %s", error)
            return
        # What is gone was relayed by another process.
        if texts:
            logger.info("splitcache: relays %d changes that others left behind", len(texts))
            shown = tuple(texts)
            self._relay.announce(
                list(texts.values()),
                lambda done: self._in_thread(done, lambda epoch: self._relayed(shown, epoch)),
            )

    def _in_thread(self, done: Relayed | None, then: Callable[[bytes], None]) -> None:
        """In the relay's thread: goes on in the outbox's, and at once."""
        if done is not None:
            self._tasks.put(lambda: then(done.epoch))

    def _replied_to_relay(self, epoch: bytes) -> None:
        if self._rules.uses(epoch):
            self._rules.replied(epoch, self._monotonic())
            return
        # It was called a moment ago.
        replaced = self._rules.epoch_to_replace(epoch, self._monotonic())
        if replaced is not None:
            self._register(epoch, replaced)

    def _relayed(self, rows: tuple[str, ...], epoch: bytes) -> None:
        self._replied_to_relay(epoch)
        self._rules.announced(rows, epoch, self._monotonic())
        self._deletions.delete(rows, epoch)
        # There may be more of them.
        self._polls_at = self._monotonic()

    def _purged(self, change: Change, epoch: bytes) -> None:
        try:
            if self._table.begin_generation(change, epoch):
                self._rules.purged(change, epoch)
        except OutboxUnavailable as error:
            logger.info("splitcache: the outbox cannot be written: %s", error)
            return
        # If another process was first, the poll shows what it has registered.
        self._polls_at = self._monotonic()

    def _register(self, epoch: bytes, replaced: bytes) -> None:
        self._proposed.discard(epoch)
        try:
            if not self._table.register(epoch, replaced):
                self._rules.is_superseded(epoch)
                logger.error(
                    "splitcache: a sidecar answers in an epoch that was replaced, and is not used: "
                    "do several without a common log answer at this address?"
                )
        except OutboxUnavailable as error:
            logger.info("splitcache: the outbox cannot be written: %s", error)
            return
        # What is registered now is shown by a poll alone.
        self._polls_at = self._monotonic()
