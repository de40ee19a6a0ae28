"""A real sidecar, and a homeserver, for the tests that need one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from client_support.sidecar_process import SidecarProcess
from tests.bridge import Bridge
from tests.homeserver import Homeserver


@pytest.fixture
def start_sidecar() -> Iterator[Callable[..., SidecarProcess]]:
    started: list[SidecarProcess] = []

    def start(listen: str, *options: str) -> SidecarProcess:
        started.append(SidecarProcess(listen, *options))
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture(scope="module")
def module_options() -> dict[str, object]:
    """Of the homeserver's module. A file of tests may have its own."""
    return {}


@pytest.fixture(scope="module")
def home(
    tmp_path_factory: pytest.TempPathFactory, module_options: dict[str, object]
) -> Iterator[Homeserver]:
    """One for all: each test has a room of its own."""
    folder = tmp_path_factory.mktemp("homeserver")
    sidecar = SidecarProcess(f"unix:{folder}/s.sock")
    home = Homeserver(folder, sidecar.address, **module_options)
    yield home
    home.stop()
    sidecar.stop()


@pytest.fixture
def room_id(home: Homeserver) -> str:
    return home.room()


@pytest.fixture
def address(tmp_path: Path, start_sidecar: Callable[[str], SidecarProcess]) -> str:
    return start_sidecar(f"unix:{tmp_path}/s.sock").address


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Bridge]]:
    """Starts processes of one homeserver."""
    started: list[Bridge] = []

    def start(address: str, **more: Any) -> Bridge:
        started.append(Bridge(address, tmp_path, **more))
        return started[-1]

    yield start
    for one in started:
        one.stop()
