"""What an event costs in the memory of a worker, and in that of a sidecar.

    python -m bench.memory

Reads the events of the demo many times over, as Synapse reads them from its database, and keeps
them, as each worker's cache does; then puts them into a sidecar for two homeservers.
"""

from __future__ import annotations

import gc
import os
import re
import subprocess
import tempfile
import urllib.request
from pathlib import Path

import grpc
from synapse.storage.databases.main.events_worker import EventCacheEntry

from e2e.processes import free_port
from splitcache_synapse.gen import event_cache_service_pb2 as pb
from splitcache_synapse.stored_event import to_cached
from splitcache_synapse.transport import CHANNEL_OPTIONS
from tests.conftest import MAIN
from tests.corpus import read_from_database, recorded_rows

COPIES = 30
# Events a call; a request may have 4 MiB.
BATCH = 50
_METRIC = re.compile(r"^splitcache_cache_bytes\{.*\} (\S+)", re.MULTILINE)


def main() -> None:
    rows = [row for _, row in recorded_rows()]
    before = resident_bytes()
    held = [
        entry for row in rows for _ in range(COPIES) for entry in read_from_database(row).values()
    ]
    gc.collect()
    in_worker = (resident_bytes() - before) / len(held)
    first, second = in_sidecar(held)
    print(f"{len(held):,} events; bytes an event:")
    print(f"  in each worker that holds it:           {in_worker:7,.0f}")
    print(f"  in a sidecar, for one homeserver:       {first:7,.0f}")
    print(f"  in the same, for one homeserver more:   {second:7,.0f}")


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def in_sidecar(entries: list[EventCacheEntry]) -> tuple[float, float]:
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
                put(channel, "two.example", entries)
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
