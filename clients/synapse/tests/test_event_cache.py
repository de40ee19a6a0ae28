"""What is dropped from Synapse's cache must not come back by a lookup that was under way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from synapse.util.caches.lrucache import AsyncLruCache

from splitcache_synapse.event_cache import SplitEventCache


@pytest.mark.parametrize(
    ("drop", "told"),
    [
        (lambda cache: cache.invalidate_local(("$a",)), ["$a"]),
        (lambda cache: cache.invalidate_on_extra_index_local(("!room",)), [None]),
        (lambda cache: cache.clear(), [None]),
    ],
)
def test_tells_of_each_way_to_drop_an_event(
    drop: Callable[[Any], None], told: list[str | None]
) -> None:
    class Nobody:
        pass

    async def announce_event(event_id: str) -> None:
        pass

    replaced: Any = AsyncLruCache(
        max_size=10,
        server_name="alpha.example",
        clock=None,  # type: ignore[arg-type]
        extra_index_cb=lambda key, value: ("!room",),
    )
    heard: list[str | None] = []
    cache = SplitEventCache(
        replaced,
        announce_event=announce_event,
        announce_all=lambda: None,
        invalidated=heard.append,
        read_from_database=lambda event_id: None,
    )
    cache.set_local(("$a",), Nobody())  # type: ignore[arg-type]
    drop(cache)
    assert heard == told
    assert cache.get_local(("$a",)) is None
