"""What an event costs in the memory of a worker, and in that of a sidecar.

    python -m bench.memory [EVENTS]

Reads the events of the demo, or of another recording, many times over, as Synapse reads them from
its database, and keeps them, as each worker's cache does. Then puts them into a sidecar for two
homeservers that have received them, in the form of old and of new releases of Synapse.
"""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

import grpc
from synapse.storage.databases.main.events_worker import EventCacheEntry

from client_support.sidecar_process import MAIN
from e2e.processes import free_port
from splitcache_client.gen import event_cache_service_pb2 as pb
from splitcache_client.transport import CHANNEL_OPTIONS
from splitcache_synapse.stored_event import to_cached
from tests.corpus import (
    AGE_AT_TOP,
    AGE_IN_UNSIGNED,
    DEMO,
    as_received,
    read_from_database,
    recorded_rows,
)

# Entries in memory: each event many times over, if the recording is small.
HELD = 16_000
# Events a call; a request may have 4 MiB.
BATCH = 50
_METRIC = re.compile(r"^splitcache_cache_bytes\{.*\} (\S+)", re.MULTILINE)


def main() -> None:
    recording = Path(sys.argv[1]) if len(sys.argv) > 1 else DEMO
    rows = [row for _, row in recorded_rows(recording)]
    copies = -(-HELD // len(rows))
    before = resident_bytes()
    held = [
        entry for row in rows for _ in range(copies) for entry in read_from_database(row).values()
    ]
    gc.collect()
    in_worker = (resident_bytes() - before) / len(held)
    print(f"{len(held):,} events; bytes an event:")
    print(f"  in each worker that holds it:           {in_worker:7,.0f}")
    for release in (AGE_AT_TOP, AGE_IN_UNSIGNED):
        received = as_two_homeservers_have_them(rows * copies, release)
        first, further = in_sidecar(*received)
        same = sum(map(same_body, *received)) / len(received[0])
        print(f"Received by two homeservers, of releases {release}:")
        print(f"  bodies that are the same:               {same:7.1%}")
        print(f"  in a sidecar, for one homeserver:       {first:7,.0f}")
        print(f"  in the same, for one homeserver more:   {further:7,.0f}  {further / first:.0%}")


def as_two_homeservers_have_them(
    rows: list[Any], release: str
) -> tuple[list[EventCacheEntry], list[EventCacheEntry]]:
    """The same events in the same order."""
    first, second = (
        [
            entry
            for number, row in enumerate(rows)
            for entry in read_from_database(as_received(row, release, at + number)).values()
        ]
        for at in (1_700_000_000_000, 1_700_000_000_123)
    )
    return first, second


def same_body(one: EventCacheEntry, other: EventCacheEntry) -> bool:
    first, second = to_cached(one), to_cached(other)
    return first is not None and second is not None and first.body == second.body


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def in_sidecar(
    entries: list[EventCacheEntry], further: list[EventCacheEntry]
) -> tuple[float, float]:
    """What its caches hold an event, and by how much they grow for a second homeserver."""
    with tempfile.TemporaryDirectory() as folder:
        listen, http = f"unix:{folder}/splitcache.sock", f"127.0.0.1:{free_port()}"
        command = ["node", str(MAIN), "serve", "--listen", listen, "--http", http]
        sidecar = subprocess.Popen([*command, "--memory", "1GiB"], stderr=subprocess.DEVNULL)
        try:
            with grpc.insecure_channel(listen, options=CHANNEL_OPTIONS) as channel:
                grpc.channel_ready_future(channel).result(timeout=20)
                put(channel, "one.example", entries)
                first = cache_bytes(http)
                put(channel, "two.example", further)
                second = cache_bytes(http)
        finally:
            sidecar.terminate()
            sidecar.wait()
    return first / len(entries), (second - first) / len(entries)


def put(channel: grpc.Channel, homeserver: str, entries: list[EventCacheEntry]) -> None:
    get = channel.unary_unary(
        "/splitcache.v1.EventCacheService/GetEvents",
        request_serializer=pb.GetEventsRequest.SerializeToString,
        response_deserializer=pb.GetEventsResponse.FromString,
    )
    put_events = channel.unary_unary(
        "/splitcache.v1.EventCacheService/PutEvents",
        request_serializer=pb.PutEventsRequest.SerializeToString,
        response_deserializer=pb.PutEventsResponse.FromString,
    )
    as_of = get(pb.GetEventsRequest(homeserver=homeserver)).position
    for at in range(0, len(entries), BATCH):
        events = [cached for one in entries[at : at + BATCH] if (cached := to_cached(one))]
        for number, event in enumerate(events, at):
            event.event_id += f"-{number}"
        put_events(pb.PutEventsRequest(homeserver=homeserver, events=events, as_of=as_of))


def cache_bytes(http: str) -> float:
    with urllib.request.urlopen(f"http://{http}/metrics") as reply:
        return sum(float(value) for value in _METRIC.findall(reply.read().decode()))


if __name__ == "__main__":
    main()
