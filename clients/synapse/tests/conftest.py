"""A real sidecar, and a homeserver, for the tests that need one."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bridge import Bridge
from tests.homeserver import Homeserver

MAIN = Path(
    os.environ.get("SPLITCACHE_MAIN", Path(__file__).resolve().parents[3] / "dist" / "main.js")
)


class SidecarProcess:
    """A sidecar at an address of its own."""

    def __init__(self, listen: str) -> None:
        assert MAIN.exists(), f"build the sidecar first: {MAIN} is not there"
        command = ["node", str(MAIN), "serve", "--listen", listen, "--http", "off"]
        # It refuses to start beside a variable of its prefix that it does not know.
        env = {name: value for name, value in os.environ.items() if name != "SPLITCACHE_MAIN"}
        self._child = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
        self.address = self._listening_at()

    def stop(self) -> None:
        self._child.terminate()
        self._child.wait(20)
        assert self._child.stderr is not None
        self._child.stderr.close()

    def _listening_at(self) -> str:
        assert self._child.stderr is not None
        for line in self._child.stderr:
            said = json.loads(line)
            if said["msg"] == "splitcache serves":
                address: str = said["listen"][0]
                return address
        raise AssertionError("the sidecar ended at its start")


@pytest.fixture
def start_sidecar() -> Iterator[Callable[[str], SidecarProcess]]:
    started: list[SidecarProcess] = []

    def start(listen: str) -> SidecarProcess:
        started.append(SidecarProcess(listen))
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
