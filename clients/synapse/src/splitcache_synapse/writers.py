"""Which processes of a homeserver change its events."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from synapse.config._base import read_config_files

MAIN_PROCESS = "master"


def writer_names(hs: Any, extra: Iterable[str]) -> tuple[str, ...]:
    """The full list, the same in every process of the homeserver.

    The main process purges, un-partial-states rooms and updates old rows in the background; the
    event persisters persist; one process censors and expires.
    """
    worker = hs.config.worker
    names = {MAIN_PROCESS, *worker.writers.events, *extra}
    names.add(_background_process(hs))
    return tuple(sorted(names))


def _background_process(hs: Any) -> str:
    if hs.config.worker.run_background_tasks:
        return str(hs.get_instance_name())
    if not hs.config.config_files:
        return MAIN_PROCESS
    # Synapse keeps only whether it is this very process; the name stands in its files.
    files = read_config_files(hs.config.config_files)
    return str(files.get("run_background_tasks_on") or MAIN_PROCESS)
