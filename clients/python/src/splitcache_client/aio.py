"""The client for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Any, TypeVar

from splitcache_client.changes import Change, Follower
from splitcache_client.client import CLOSE_TIMEOUT_S, READ_TIMEOUT_S, WRITE_TIMEOUT_S
from splitcache_client.core import Core
from splitcache_client.event import Event
from splitcache_client.freshness_report import FreshnessReport, report
from splitcache_client.metrics import ClientMetrics
from splitcache_client.options import Options, check_timeout
from splitcache_client.pending import Pending
from splitcache_client.reading import Found, Position, Reading, message

AsyncFetch = Callable[[Sequence[str]], Awaitable[Iterable[Event]]]
Result = TypeVar("Result")


class AsyncSplitCache:
    """As SplitCache. Waits without a thread; a cancelled task leaves its lookup."""

    def __init__(self, core: Core) -> None:
        self._core = core

    @classmethod
    async def connect(cls, **options: Any) -> AsyncSplitCache:
        """As SplitCache.connect."""
        # It may read files and create tables.
        return cls(await asyncio.to_thread(Core, Options(**options)))

    async def __aenter__(self) -> AsyncSplitCache:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """As SplitCache.close."""
        await asyncio.to_thread(self._core.close, check_timeout("timeout_s", timeout_s))

    async def get_many(
        self, event_ids: Iterable[str], *, timeout_s: float = READ_TIMEOUT_S
    ) -> Found:
        """As SplitCache.get_many."""
        return (await self._read(event_ids, timeout_s)).found()

    async def get_or_fetch(
        self, event_ids: Iterable[str], fetch: AsyncFetch, *, timeout_s: float = READ_TIMEOUT_S
    ) -> dict[str, Event]:
        """As SplitCache.get_or_fetch."""
        reading = await self._read(event_ids, timeout_s)
        found = reading.found()
        asked: set[str] = set()
        while missing := [one for one in found.missing if one not in asked]:
            fills = reading.fetched(await fetch(missing), missing, found)
            if fills and found.as_of is not None:
                self._core.put(fills, message(found.as_of))
            asked.update(missing)
            found = reading.found_again()
        return found.events

    async def put(
        self, events: Sequence[Event], as_of: Position, *, timeout_s: float = READ_TIMEOUT_S
    ) -> None:
        """As SplitCache.put."""
        await self._wait(self._core.put(events, message(as_of)), timeout_s)

    async def announce(self, pending: Pending, *, timeout_s: float = WRITE_TIMEOUT_S) -> None:
        """As SplitCache.announce."""
        await self._wait(self._core.announce(pending), timeout_s)

    def changes(self) -> AsyncIterator[Change]:
        """As SplitCache.changes, until the client is closed."""
        loop, ready = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            # The caller's loop may have ended.
            if not loop.is_closed():
                loop.call_soon_threadsafe(ready.set)

        follower = Follower(wake)
        self._core.drops.follow(follower)
        return self._changes(follower, ready)

    async def _changes(self, follower: Follower, ready: asyncio.Event) -> AsyncIterator[Change]:
        try:
            while not follower.is_closed:
                ready.clear()
                while (change := follower.take(0)) is not None:
                    yield change
                if not follower.is_closed:
                    await ready.wait()
        finally:
            self._core.drops.unfollow(follower)

    async def settled(self, *, timeout_s: float = READ_TIMEOUT_S) -> bool:
        """As SplitCache.settled."""
        check_timeout("timeout_s", timeout_s)
        return await asyncio.to_thread(self._core.settled, timeout_s)

    @property
    def freshness(self) -> FreshnessReport:
        """As SplitCache.freshness."""
        return report(self._core)

    @property
    def metrics(self) -> ClientMetrics:
        """As SplitCache.metrics."""
        return self._core.options.metrics

    async def _read(self, event_ids: Iterable[str], timeout_s: float) -> Reading:
        check_timeout("timeout_s", timeout_s)
        reading = Reading(self._core, event_ids)
        if reading.to_ask:
            answer = await self._wait(self._core.look(reading.to_ask), timeout_s)
            reading.answered(answer)
        return reading

    async def _wait(self, future: Future[Result], timeout_s: float) -> Result | None:
        check_timeout("timeout_s", timeout_s)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), timeout_s)
        except (asyncio.TimeoutError, TimeoutError):
            return None
