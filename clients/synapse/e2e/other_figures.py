"""Figures that need clusters of their own: long polls with and without the module, and what two
homeservers share."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from .client import User
from .cluster import Cluster
from .metrics import FETCHES, GATE, count, gauge, sidecar_gauge


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


def polls() -> None:
    """New messages, and three processes that poll for them."""
    for module in (False, True):
        # What the audit reads would be counted, too.
        cluster = Cluster(bridge=module, audit="0%")
        try:
            cluster.start()
            for name, number in long_polls(cluster).items():
                print(f"{name}, {'with' if module else 'without'} the module: {number:.0f}")
        finally:
            cluster.stop()


def shared() -> None:
    """Two homeservers in one room."""
    cluster = Cluster(bridge=True, audit="0%")
    try:
        cluster.start()
        for name, number in shared_bodies(cluster).items():
            print(f"{name}: {number:.0f}", flush=True)
    finally:
        cluster.stop()
