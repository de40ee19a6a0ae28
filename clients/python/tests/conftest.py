"""A real sidecar, and clients of it, for the tests that need them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from client_support.sidecar_process import SidecarProcess
from splitcache_client import OutboxDatabase, SplitCache
from tests.world import HOME


@pytest.fixture(scope="session")
def sidecar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SidecarProcess]:
    """One for all: each test has a homeserver of its own."""
    process = SidecarProcess(f"unix:{tmp_path_factory.mktemp('sidecar')}/s.sock")
    yield process
    process.stop()


@pytest.fixture
def start_sidecar() -> Iterator[Callable[[str], SidecarProcess]]:
    """Starts sidecars of the test's own."""
    started: list[SidecarProcess] = []

    def start(listen: str) -> SidecarProcess:
        started.append(SidecarProcess(listen))
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture
def homeserver(request: pytest.FixtureRequest) -> str:
    return f"{abs(hash(request.node.nodeid)):x}.{HOME}"


@pytest.fixture
def database(tmp_path: Path) -> OutboxDatabase:
    return OutboxDatabase.sqlite(str(tmp_path / "homeserver.db"))


@pytest.fixture
def connect(sidecar: SidecarProcess, homeserver: str) -> Iterator[Callable[..., SplitCache]]:
    """Connects clients of the test's homeserver."""
    made: list[SplitCache] = []

    def connect(**options: Any) -> SplitCache:
        given = {"address": sidecar.address, "homeserver": homeserver, **options}
        made.append(SplitCache.connect(**given))
        return made[-1]

    yield connect
    for one in made:
        one.close()


@pytest.fixture
def writer(connect: Callable[..., SplitCache], database: OutboxDatabase) -> SplitCache:
    cache = connect(database=database)
    assert cache.wait_until_current()
    return cache


@pytest.fixture
def reader(connect: Callable[..., SplitCache]) -> SplitCache:
    cache = connect()
    assert cache.wait_until_current()
    return cache
