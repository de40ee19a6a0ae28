"""Rows of the outbox that were announced, on their way out of the table. In the outbox's thread."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from splitcache_client.outbox_table import OutboxTable, OutboxUnavailable

logger = logging.getLogger(__name__)

# That wait for the database. Beyond it rows are left to the polls.
_WAITING_MAX = 10_000


class Deletions:
    """Many rows go in one statement."""

    def __init__(self, table: OutboxTable, reactor: Any) -> None:
        self._table = table
        self._reactor = reactor
        self._waiting: dict[bytes, list[tuple[str, Callable[[bool], None]]]] = {}

    def add(self, row: str, epoch: bytes, on_done: Callable[[bool], None]) -> None:
        """`on_done` is called on the loop's thread: whether the row was deleted in the epoch."""
        waiting = self._waiting.setdefault(epoch, [])
        if len(waiting) < _WAITING_MAX:
            waiting.append((row, on_done))
        else:
            self._reactor.callFromThread(on_done, False)

    def run(self) -> None:
        """Deletes all that waits."""
        every, self._waiting = self._waiting, {}
        for epoch, waiting in every.items():
            deleted = self.delete([row for row, _ in waiting], epoch)
            for _, on_done in waiting:
                self._reactor.callFromThread(on_done, deleted)

    def delete(self, rows: Iterable[str], epoch: bytes) -> bool:
        """Whether the rows were deleted in the epoch."""
        try:
            return self._table.delete(rows, epoch)
        except OutboxUnavailable as error:
            logger.info("splitcache: the outbox cannot be written: %s", error)
            return False
