"""The client for asyncio over a real sidecar."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from client_support.sidecar_process import SidecarProcess
from splitcache_client import AsyncSplitCache, Event, EventChanged, OutboxDatabase
from tests.world import Truth, commit, event


def test_reads_writes_and_follows(
    sidecar: SidecarProcess, homeserver: str, database: OutboxDatabase
) -> None:
    truth = Truth(event("$a"), event("$b"))

    async def fetch(event_ids: Sequence[str]) -> list[Event]:
        return truth.fetch(event_ids)

    async def live() -> None:
        async with await AsyncSplitCache.connect(
            address=sidecar.address, homeserver=homeserver, database=database
        ) as cache:
            while (await cache.get_many(["$a", "$b"])).missing:
                assert list(await cache.get_or_fetch(["$b", "$a"], fetch)) == ["$b", "$a"]
            changes = cache.changes()
            await cache.announce(commit(database, "$a"))
            assert await asyncio.wait_for(anext(changes), 20) == EventChanged("$a")
            assert (await cache.get_many(["$a", "$b"])).missing == ("$a",)
            assert cache.freshness.is_open

    asyncio.run(live())


def test_following_ends_when_it_is_closed(sidecar: SidecarProcess, homeserver: str) -> None:
    async def live() -> list[object]:
        cache = await AsyncSplitCache.connect(address=sidecar.address, homeserver=homeserver)
        changes = cache.changes()
        followed = asyncio.create_task(_all(changes))
        await cache.close()
        return await asyncio.wait_for(followed, 20)

    # The stream may have begun before it was closed.
    assert len(asyncio.run(live())) <= 1


def test_a_cancelled_read_raises_and_the_client_goes_on(
    sidecar: SidecarProcess, homeserver: str
) -> None:
    async def live() -> None:
        address, name = sidecar.address, homeserver
        async with await AsyncSplitCache.connect(address=address, homeserver=name) as cache:
            task = asyncio.create_task(cache.get_many(["$a"]))
            await asyncio.sleep(0)
            task.cancel()
            assert isinstance(
                (await asyncio.gather(task, return_exceptions=True))[0], BaseException
            )
            assert (await cache.get_many(["$a"])).missing == ("$a",)

    asyncio.run(live())


async def _all(changes: object) -> list[object]:
    return [one async for one in changes]  # type: ignore[attr-defined]
