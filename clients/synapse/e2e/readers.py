"""The workers that the figures compare. All of them read the same database at the same time, so
that a ratio means something on a machine that does other things as well."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from .cluster import Cluster
from .configs import database_args, modules
from .metrics import GATE, gauge
from .statements import of_event_json

# Synapse's default is 10K for all rooms of a homeserver. What is read here is a tenth of that.
SMALL_CACHE, LARGE_CACHE = 1_000, 10_000
READ_DEADLINE = "5s"
_TICKS_PER_S = 100


@dataclass(frozen=True)
class Reader:
    """A worker that only reads."""

    name: str
    title: str
    module: bool
    event_cache_size: int = SMALL_CACHE
    # Of PostgreSQL, if it is not the cluster's own.
    postgres_port: int | None = None

    def launch(self, cluster: Cluster) -> None:
        cluster.launch_reader(self.name, self._config(cluster))

    def restart(self, cluster: Cluster) -> None:
        cluster.restart(self.name)
        self.until_ready(cluster)

    def until_ready(self, cluster: Cluster) -> None:
        """A reader with the module reads from its database until its gate opens."""
        cluster.processes[self.name].wait_ready()
        deadline = time.monotonic() + 30
        while self.module and gauge(cluster, GATE, self.name) != 1:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the gate of {self.name} does not open")
            time.sleep(0.1)

    def _config(self, cluster: Cluster) -> dict[str, Any]:
        own = cluster.own
        more = {"audit": "0%", "read_deadline": READ_DEADLINE}
        found: dict[str, Any] = {
            "event_cache_size": self.event_cache_size,
            "modules": [
                *(modules(cluster.socket, more) if self.module else []),
                {"module": "e2e.resolver.StateResolver", "config": {}},
            ],
        }
        if self.postgres_port is not None:
            found["database"] = database_args(own, self.postgres_port)
        return found


class Cost(NamedTuple):
    """What one load has taken."""

    statements: int
    rows: int
    cpu_s: float
    seconds: float


class Meter:
    """Measures what happens within `with`: statements of all processes, CPU of one."""

    cost: Cost

    def __init__(self, cluster: Cluster, reader: str) -> None:
        self._cluster = cluster
        self._pid = cluster.processes[reader].pid

    def __enter__(self) -> Meter:
        self._before = of_event_json(self._cluster)
        self._cpu_s = cpu_s(self._pid)
        self._started = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        seconds = time.monotonic() - self._started
        used = cpu_s(self._pid) - self._cpu_s
        after = of_event_json(self._cluster)
        self.cost = Cost(
            after.calls - self._before.calls, after.rows - self._before.rows, used, seconds
        )


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def resident_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return float("nan")
