"""What the module saves and what it costs, as ratios within one run.

    python -m e2e figures                        every part
    python -m e2e figures reads large            these parts
    python -m e2e figures large --state-events 1000

Statements and rows are those that join `event_json`, as PostgreSQL counts them. CPU is the
worker's. Times depend on what else the machine does: compare them within a table only.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import synapse

from .bench import Bench, Load
from .client import User
from .cluster import Cluster
from .forwarded_port import ForwardedPort
from .other_figures import polls, shared
from .readers import LARGE_CACHE, Cost, Reader, resident_mib
from .statements import start_counting

PLAIN = Reader("plain", "without the module", module=False)
LARGE = Reader("large", "without, ten times the cache", module=False, event_cache_size=LARGE_CACHE)
MODULE = Reader("module", "with the module", module=True)
DELAY_S = 0.001
SYNC_USERS, SYNC_ROUNDS = 20, 4


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m e2e figures",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--state-events", type=int, default=5_000, help="of the large room")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 4, 12])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, *ALONE, []])
    options = parser.parse_args(argv)
    chosen = options.parts or [*PARTS, *ALONE]
    print(f"Synapse {synapse.__version__}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    if any(part in PARTS for part in chosen):
        run_in_one_cluster([part for part in chosen if part in PARTS], options)
    for part in chosen:
        if part in ALONE:
            print(f"\n{part}: {ALONE[part].__doc__}", flush=True)
            ALONE[part]()
    return 0


def run_in_one_cluster(parts: Sequence[str], options: argparse.Namespace) -> None:
    cluster = Cluster(bridge=True, audit="0%", counts=True)
    try:
        cluster.start()
        start_counting(cluster)
        bench = Bench(cluster, options.state_events, tuple(options.workers))
        for part in parts:
            started = time.monotonic()
            print(f"\n{part}: {PARTS[part].__doc__}", flush=True)
            PARTS[part](bench)
            print(f"({time.monotonic() - started:.0f} s, load {os.getloadavg()[0]:.1f})")
    finally:
        cluster.stop()


def reads(bench: Bench) -> None:
    """The reads of clients, through workers that have just started (cold), and once more (warm)."""
    loads: dict[str, Load] = {
        "/messages": bench.messages,
        "/sync, initial": bench.initial_sync,
        "/sync, incremental": bench.incremental_sync,
        "/context": bench.context,
    }
    bench.make_chat_rooms()
    compare(bench, loads, (PLAIN, LARGE, MODULE))


def large(bench: Bench) -> None:
    """A room with much state: its state resolved, and /state."""
    loads: dict[str, Load] = {"state resolution": bench.resolve, "/state": bench.state}
    bench.make_large_room()
    compare(bench, loads, (PLAIN, LARGE, MODULE))


def far(bench: Bench) -> None:
    """PostgreSQL a millisecond away."""
    port = ForwardedPort(bench.cluster.postgres_port, DELAY_S)
    readers = (
        Reader("plain-far", PLAIN.title, module=False, postgres_port=port.port),
        Reader("module-far", MODULE.title, module=True, postgres_port=port.port),
    )
    bench.make_chat_rooms()
    try:
        compare(bench, {"/messages": bench.messages, "/context": bench.context}, readers)
    finally:
        bench.stop(readers)
        port.close()


def compare(bench: Bench, loads: dict[str, Load], readers: Sequence[Reader]) -> None:
    for name, load in loads.items():
        print_head(name)
        bench.start(readers)
        for reader in readers:
            if not reader.module:
                print_costs(reader.title, *bench.cold_and_warm(reader, load))
                continue
            bench.empty_sidecar()
            print_costs(f"{reader.title}, sidecar empty", *bench.cold_and_warm(reader, load))
            print_costs(f"{reader.title}, sidecar warm", *bench.cold_and_warm(reader, load))


def print_head(name: str) -> None:
    print(f"\n{name:36} {'cold':>30} {'warm':>37}")
    columns = f"{'stmts':>7} {'rows':>7} {'CPU ms':>9} {'ms':>9}"
    print(f"{'':36} {columns}   {columns}", flush=True)


def print_costs(title: str, *costs: Cost) -> None:
    print(f"{title:36}", end="")
    for one in costs:
        print(f" {one.statements:7} {one.rows:7}", end="")
        print(f" {one.cpu_s * 1000:9.0f} {one.seconds * 1000:9.0f}  ", end="")
    print(flush=True)


def sync(bench: Bench) -> None:
    """Initial syncs of many users, each after the other: median and p99, in milliseconds."""
    ports = bench.cluster.ports
    users = [User(ports["main"], f"syncer{n}") for n in range(SYNC_USERS)]
    bench.make_chat_rooms()
    rooms = list(bench.chat_rooms)
    for number, user in enumerate(users):
        user.join(ports["generic1"], rooms[number % len(rooms)])
        user.join(ports["generic1"], rooms[(number + 1) % len(rooms)])
    readers = (PLAIN, MODULE)
    bench.start(readers)
    print(f"{'':36} {'cold':>16}   {'warm':>16}   {'p99 cold / warm':>16}")
    for reader in readers:
        taken: tuple[list[float], list[float]] = ([], [])
        for _ in range(SYNC_ROUNDS):
            reader.restart(bench.cluster)
            for times in taken:
                times += [timed(user.sync, ports[reader.name]) for user in users]
        (cold_p50, cold_p99), (warm_p50, warm_p99) = map(percentiles, taken)
        print(f"{reader.title:36} {cold_p50:7.0f} {cold_p99:8.0f}", end="")
        print(f"   {warm_p50:7.0f} {warm_p99:8.0f}   {cold_p99 / warm_p99:16.2f}", flush=True)


def timed(read: Callable[[int], object], port: int) -> float:
    started = time.monotonic()
    read(port)
    return (time.monotonic() - started) * 1000


def percentiles(times: list[float]) -> tuple[float, float]:
    return statistics.median(times), sorted(times)[int(len(times) * 0.99) - 1]


def workers(bench: Bench) -> None:
    """Memory of workers that have all read the same, and the statements of their second reading."""
    print(f"{'':36} {'workers':>7} {'MiB':>7} {'grown':>7} {'sidecar':>8} {'stmts':>7}")
    bench.make_chat_rooms()
    bench.make_large_room()
    sidecar = bench.cluster.processes["sidecar"].pid
    for title, module, size in (
        ("with the module, small cache", True, 100),
        ("without, cache for all of it", False, LARGE_CACHE),
    ):
        bench.state(bench.cluster.ports["generic1"])
        for number in bench.workers:
            readers = [
                Reader(f"w{module:d}{n}", title, module=module, event_cache_size=size)
                for n in range(number)
            ]
            bench.start(readers)
            before = [resident_mib(bench.cluster.processes[one.name].pid) for one in readers]
            sidecar_before = resident_mib(sidecar)
            read_by_all(bench, readers)
            after = [resident_mib(bench.cluster.processes[one.name].pid) for one in readers]
            sidecar_grown = resident_mib(sidecar) - sidecar_before
            again = read_by_all(bench, readers)
            print(
                f"{title:36} {number:7} {sum(after):7.0f} {sum(after) - sum(before):7.0f}", end=""
            )
            print(f" {sidecar_grown:8.0f} {again:7}", flush=True)
            bench.stop(readers)


def read_by_all(bench: Bench, readers: Sequence[Reader]) -> int:
    """The statements that it takes."""

    def load(_: int) -> None:
        with ThreadPoolExecutor(2) as threads:
            for read in (bench.state, bench.messages):
                list(threads.map(read, [bench.cluster.ports[one.name] for one in readers]))

    return bench.cost(readers[0], load).statements


PARTS: dict[str, Callable[[Bench], None]] = {
    "reads": reads,
    "large": large,
    "far": far,
    "sync": sync,
    "workers": workers,
}
ALONE: dict[str, Callable[[], None]] = {"polls": polls, "shared": shared}
