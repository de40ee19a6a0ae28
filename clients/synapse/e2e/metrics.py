"""What the metrics of a cluster's processes say."""

from __future__ import annotations

import contextlib
import urllib.error
import urllib.request
from collections.abc import Iterable

from .cluster import Cluster

FETCHES = "synapse_util_metrics_block_count_total"
LOOKUPS = "splitcache_bridge_lookups_total"
AUDITS = "splitcache_bridge_audits_total"
GATE = "splitcache_bridge_gate_open"


def count(cluster: Cluster, name: str, processes: Iterable[str], *labels: str) -> float:
    """The sum of the processes' samples whose labels hold each of the given texts."""
    total = 0.0
    for process in processes:
        for line in _metrics(cluster, process):
            if line.startswith(name + "{") and all(label in line for label in labels):
                total += float(line.rpartition(" ")[2])
    return total


def sidecar_gauge(cluster: Cluster, name: str, label: str) -> float:
    """One sample of the sidecar."""
    port = cluster.sidecar_http_port
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as reply:
        for line in reply.read().decode().splitlines():
            if line.startswith(name + "{") and label in line:
                return float(line.rpartition(" ")[2])
    return float("nan")


def gauge(cluster: Cluster, name: str, process: str) -> float:
    """The one sample of one process; nan before there is one."""
    for line in _metrics(cluster, process):
        if line.startswith(name + "{"):
            return float(line.rpartition(" ")[2])
    return float("nan")


def _metrics(cluster: Cluster, process: str) -> list[str]:
    url = f"http://127.0.0.1:{cluster.metrics_ports[process]}/_synapse/metrics"
    for _ in range(10):
        # Of a Synapse that starts, metrics may be added while they are listed: it answers 500.
        with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(url) as reply:
            lines: list[str] = reply.read().decode().splitlines()
            return lines
    raise OSError(f"the metrics of {process} cannot be read")
