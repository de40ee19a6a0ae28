"""Which processes are declared as writers: the same list in each of them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from splitcache_synapse.writers import writer_names


def process(name: str, runs_background_tasks: bool, files: list[str]) -> Any:
    """As much of a HomeServer as says who does what."""
    worker = SimpleNamespace(
        writers=SimpleNamespace(events=["persister_1", "persister_2"]),
        run_background_tasks=runs_background_tasks,
    )
    return SimpleNamespace(
        config=SimpleNamespace(worker=worker, config_files=files),
        get_instance_name=lambda: name,
    )


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    shared = tmp_path / "homeserver.yaml"
    shared.write_text(
        "server_name: example.org\nreport_stats: false\nrun_background_tasks_on: background_1\n"
    )
    own = tmp_path / "worker.yaml"
    own.write_text("worker_name: somebody\n")
    return [str(shared), str(own)]


def test_is_the_same_in_every_process(files: list[str]) -> None:
    names = {
        writer_names(process(name, name == "background_1", files), ["extra_1"])
        for name in ("master", "persister_1", "generic_1", "background_1")
    }
    assert names == {("background_1", "extra_1", "master", "persister_1", "persister_2")}


def test_leaves_background_tasks_to_the_main_process() -> None:
    expected = ("master", "persister_1", "persister_2")
    assert writer_names(process("master", True, []), []) == expected
    assert writer_names(process("generic_1", False, []), []) == expected
