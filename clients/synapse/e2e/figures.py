"""What Synapse's own metrics say of a cluster, and how long cold workers take."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Iterable

from .client import User
from .cluster import Cluster

_FETCHES = "synapse_util_metrics_block_count_total"
_LOOKUPS = "splitcache_bridge_lookups_total"


def count(cluster: Cluster, name: str, processes: Iterable[str], *labels: str) -> float:
    """The sum of the processes' samples whose labels hold each of the given texts."""
    total = 0.0
    for process in processes:
        port = cluster.metrics_ports[process]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/_synapse/metrics") as reply:
            for line in reply.read().decode().splitlines():
                if line.startswith(name + "{") and all(label in line for label in labels):
                    total += float(line.rpartition(" ")[2])
    return total


def cold_reads(cluster: Cluster, rooms: int = 8, messages: int = 60) -> dict[str, float]:
    """Fills rooms, reads them through warm workers, then through workers that have just started."""
    ports = cluster.ports
    user = User(ports["main"], "reader")
    made = []
    for _ in range(rooms):
        room_id = user.create_room(ports["generic1"], "10")
        for number in range(messages):
            user.say(ports["generic1"], room_id, f"message {number}")
        made.append(room_id)
    for room_id in made:
        user.messages(ports["generic1"], room_id)
    cluster.restart("generic2")
    started = time.monotonic()
    for room_id in made:
        user.messages(ports["generic2"], room_id)
    messages_ms = (time.monotonic() - started) * 1000 / rooms
    figures = {
        "/messages, cold worker, ms": messages_ms,
        # Of the cold worker alone: it has just started.
        "database fetches": count(cluster, _FETCHES, ("generic2",), '"_fetch_event_list"'),
        "lookups": count(cluster, _LOOKUPS, ("generic2",)),
        "hits": count(cluster, _LOOKUPS, ("generic2",), 'result="hit"'),
    }
    cluster.restart("generic2")
    started = time.monotonic()
    user.sync(ports["generic2"])
    figures["/sync, cold worker, ms"] = (time.monotonic() - started) * 1000
    return figures
