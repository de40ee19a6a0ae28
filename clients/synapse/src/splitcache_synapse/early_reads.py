"""Reads from the database what a large lookup has missed, while the rest of it is under way."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from synapse.logging.context import (
    PreserveLoggingContext,
    current_context,
    make_deferred_yieldable,
    run_in_background,
)
from twisted.internet.defer import Deferred

from splitcache_client.gen import event_cache_service_pb2 as pb

logger = logging.getLogger(__name__)

# Reads the events from the database, and fills the sidecar with the position.
Read = Callable[[Collection[str], pb.Position], Awaitable[dict[str, Any]]]


class EarlyReads:
    """Of one lookup. One read is under way at a time; what is missed meanwhile goes with the next.

    What could not be read counts as not asked for: Synapse then reads it, and sees the failure.
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        # The reader's: replies come in none.
        self._context = current_context()
        self._waiting: set[str] = set()
        # Of the first that waits: the oldest, which holds for all.
        self._position: pb.Position | None = None
        # The last read, or several of them in a row; it may have ended.
        self._reading: Deferred[None] | None = None
        self._is_reading = False
        self._under_way: frozenset[str] = frozenset()
        self._entries: dict[str, Any] = {}
        self._asked: set[str] = set()
        self._finishing = False

    @property
    def have_begun(self) -> bool:
        return self._reading is not None

    @property
    def asked(self) -> frozenset[str]:
        """Of which events the database has been asked, and has answered."""
        return frozenset(self._asked)

    def add(self, missed: frozenset[str], position: pb.Position) -> None:
        """The lookup has missed these; the position is from before the database is read."""
        if not self._waiting:
            self._position = position
        self._waiting |= missed
        if not self._is_reading:
            with PreserveLoggingContext(self._context):
                self._reading = run_in_background(self._read_waiting)

    async def finish(self, missing: frozenset[str], position: pb.Position | None) -> dict[str, Any]:
        """The lookup has ended, with this missing in all. What the database has of it; nothing if
        no read has begun before."""
        if self._reading is None:
            return {}
        self._finishing = True
        if position is not None:
            left = missing - self._under_way - self._asked
            await self._read_these(left, position)
        await make_deferred_yieldable(self._reading)
        return self._entries

    async def _read_waiting(self) -> None:
        self._is_reading = True
        while self._waiting and self._position is not None and not self._finishing:
            self._under_way, self._waiting = frozenset(self._waiting), set()
            await self._read_these(self._under_way, self._position)
        self._is_reading = False

    async def _read_these(self, event_ids: frozenset[str], position: pb.Position) -> None:
        if not event_ids:
            return
        try:
            self._entries |= await self._read(event_ids, position)
            self._asked |= event_ids
        except Exception:
            logger.info("splitcache: an early read of the database failed", exc_info=True)
