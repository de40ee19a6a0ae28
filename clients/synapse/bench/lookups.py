"""Lookups over the read stream against the same as unary calls, in one run.

    python -m bench.lookups ADDRESS

ADDRESS is that of a running sidecar. Prints lookups a second and the client's CPU of each, and
their ratio: the machine is shared, so only the ratio means something.
"""

from __future__ import annotations

import itertools
import platform
import sys
import time
from collections.abc import Callable
from typing import Any

import grpc

from splitcache_client.channel import Channels
from splitcache_client.gen import event_cache_service_pb2 as pb
from splitcache_client.transport import GrpcTransport
from tests.loop_reactor import LoopReactor

HOME = "bench.example"
EVENTS = 500
BODY = b'{"type":"m.room.message","content":{"body":"' + b"x" * 800 + b'"}}'
# IDs a lookup: what is left after a worker's own cache, as recorded from a real homeserver.
SIZES = (1, 1, 1, 2, 8, 1, 1, 3, 1, 41)
LOOKUPS = 6_000
IN_FLIGHT = 32
ROUNDS = 3

Ask = Callable[[pb.GetEventsRequest, Callable[[Any], None]], None]


def main() -> None:
    reactor = LoopReactor()
    transport = GrpcTransport(Channels(sys.argv[1]), reactor)
    fill(reactor, transport)
    ways: dict[str, Ask] = {
        "unary calls": lambda request, done: transport.unary("GetEvents", request, 5, done),
        "read stream": lambda request, done: transport.lookup(request, 5, done),
    }
    print(f"Python {platform.python_version()}, grpcio {grpc.__version__}, {platform.machine()}")
    best = {name: max(measure(reactor, ask) for _ in range(ROUNDS)) for name, ask in ways.items()}
    for name, (rate, cpu_us) in best.items():
        print(f"{name}: {rate:,.0f} lookups/s, {cpu_us:.0f} µs of client CPU each")
    (unary, unary_cpu), (stream, stream_cpu) = best["unary calls"], best["read stream"]
    print(f"stream / unary: {stream / unary:.2f} x lookups, {stream_cpu / unary_cpu:.2f} x CPU")
    transport.close()


def fill(reactor: LoopReactor, transport: GrpcTransport) -> None:
    def ask(method: str, request: Any) -> Any:
        replies: list[Any] = []
        transport.unary(method, request, 5, replies.append)
        reactor.run_until(lambda: bool(replies))
        return replies[0]

    position = ask("GetEvents", pb.GetEventsRequest(homeserver=HOME)).position
    events = [
        pb.CachedEvent(event_id=f"$e{n}", room_id="!r", room_version="10", body=BODY)
        for n in range(EVENTS)
    ]
    ask("PutEvents", pb.PutEventsRequest(homeserver=HOME, events=events, as_of=position))


def measure(reactor: LoopReactor, ask: Ask) -> tuple[float, float]:
    sizes = itertools.islice(itertools.cycle(SIZES), LOOKUPS)
    done = 0

    def next_lookup() -> None:
        size = next(sizes, None)
        if size is not None:
            event_ids = [f"$e{n}" for n in range(size)]
            ask(pb.GetEventsRequest(homeserver=HOME, event_ids=event_ids), finish)

    def finish(reply: Any) -> None:
        nonlocal done
        assert len(reply.events) > 0, reply
        done += 1
        next_lookup()

    started, cpu = time.monotonic(), time.process_time()
    for _ in range(IN_FLIGHT):
        next_lookup()
    reactor.run_until(lambda: done == LOOKUPS)
    seconds = time.monotonic() - started
    return LOOKUPS / seconds, (time.process_time() - cpu) / LOOKUPS * 1e6


if __name__ == "__main__":
    main()
