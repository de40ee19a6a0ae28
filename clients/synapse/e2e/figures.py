"""What Synapse's own metrics say of a cluster, and how long cold workers take."""

from __future__ import annotations

import contextlib
import statistics
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from .client import User
from .cluster import Cluster

FETCHES = "synapse_util_metrics_block_count_total"
LOOKUPS = "splitcache_bridge_lookups_total"
AUDITS = "splitcache_bridge_audits_total"
GATE = "splitcache_bridge_gate_open"
ROUNDS = 3


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


def cold_reads(cluster: Cluster, rooms: int = 8, messages: int = 60) -> dict[str, float]:
    """Fills rooms and reads them through one worker, then through another that has just started.

    Latencies are medians of so many starts as `ROUNDS` says; counts are those of the last.
    """
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
    syncs_ms, messages_ms = [], []
    for _ in range(ROUNDS):
        cluster.restart("generic2")
        syncs_ms.append(_milliseconds(user.sync, ports["generic2"]))
        cluster.restart("generic2")
        each = [_milliseconds(user.messages, ports["generic2"], room_id) for room_id in made]
        messages_ms.append(sum(each) / rooms)
    # Of the cold worker alone: it has just started.
    cold = ("generic2",)
    return {
        "/messages, cold worker, ms": statistics.median(messages_ms),
        "/sync, cold worker, ms": statistics.median(syncs_ms),
        "database fetches": count(cluster, FETCHES, cold, '"_fetch_event_list"'),
        "lookups": count(cluster, LOOKUPS, cold),
        "hits": count(cluster, LOOKUPS, cold, 'result="hit"'),
    }


def long_polls(cluster: Cluster, messages: int = 100) -> dict[str, float]:
    """Says something each time that three processes have shown the last thing said."""
    pollers = ("main", "generic1", "generic2")
    ports = cluster.ports
    user = User(ports["main"], "poller")
    room_id = user.create_room(ports["generic1"], "10")
    user.say(ports["generic1"], room_id, "the first")
    since = {name: user.sync(ports[name])["next_batch"] for name in pollers}
    before = count(cluster, FETCHES, pollers, '"_fetch_event_list"')

    def until_shown(name: str, event_id: str) -> None:
        shown: set[str] = set()
        while event_id not in shown:
            reply = user.poll(ports[name], since[name])
            since[name] = reply["next_batch"]
            joined = reply.get("rooms", {}).get("join", {}).get(room_id, {})
            shown = {event["event_id"] for event in joined.get("timeline", {}).get("events", [])}

    with ThreadPoolExecutor(len(pollers)) as threads:
        for number in range(messages):
            said = user.say(ports["generic1"], room_id, f"message {number}")
            list(threads.map(until_shown, pollers, [said] * len(pollers)))
    fetches = count(cluster, FETCHES, pollers, '"_fetch_event_list"') - before
    return {f"fetches, {messages} messages, 3 pollers": fetches}


def shared_bodies(cluster: Cluster, messages: int = 100) -> dict[str, float]:
    """Two homeservers in one room, with nothing else in the sidecar, each having read all of it."""
    cluster.start_neighbour()
    port, other = cluster.ports["generic1"], cluster.ports["neighbour"]
    alice = User(cluster.ports["main"], "sharer")
    carol = User(other, "carol")
    room_id = alice.create_room(port, "11")
    carol.join(other, room_id, via=cluster.own.name)
    last = [alice.say(port, room_id, f"message {number}") for number in range(messages)][-1]
    while last not in {event["event_id"] for event in carol.messages(other, room_id)}:
        time.sleep(0.1)
    cluster.restart("sidecar", "neighbour", "generic1")
    # Until its new epoch is registered, the sidecar is not read.
    for process in ("generic1", "neighbour"):
        while gauge(cluster, GATE, process) != 1:
            time.sleep(0.1)
    alice.messages(port, room_id)
    carol.messages(other, room_id)
    # What was read is put a moment later.
    time.sleep(1)
    held = "splitcache_cache_entries"
    return {
        "events of either homeserver": sidecar_gauge(cluster, held, 'cache="metadata"'),
        "bodies stored": sidecar_gauge(cluster, held, 'cache="events"'),
    }


def _milliseconds(read: Callable[..., object], *of: object) -> float:
    started = time.monotonic()
    read(*of)
    return (time.monotonic() - started) * 1000
