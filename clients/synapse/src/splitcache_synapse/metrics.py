"""What the module counts, in Synapse's own registry."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

_SERVER = "server_name"
_LOOKUPS = Counter(
    "splitcache_bridge_lookups", "Events looked up, by result: hit or miss", [_SERVER, "result"]
)
_LOOKUP_SECONDS = Histogram(
    "splitcache_bridge_lookup_seconds",
    "How long a request for events took",
    [_SERVER],
    buckets=(0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 1.0),
)
_BATCH_SIZE = Histogram(
    "splitcache_bridge_lookup_batch_size",
    "Event IDs a request",
    [_SERVER],
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
)
_ERRORS = Counter("splitcache_bridge_errors", "Calls that failed, by kind", [_SERVER, "kind"])
_BREAKER = Gauge(
    "splitcache_bridge_breaker_state", "Circuit breaker: 0 closed, 1 half open, 2 open", [_SERVER]
)
_FILLS = Counter(
    "splitcache_bridge_fills", "Events put, by what became of them", [_SERVER, "outcome"]
)
_ANNOUNCEMENTS = Counter(
    "splitcache_bridge_announcements",
    "Changes announced, by kind (events, room, homeserver) and outcome (ok, given_up)",
    [_SERVER, "kind", "outcome"],
)
_PENDING = Gauge(
    "splitcache_bridge_pending_changes", "Changes that are not announced yet", [_SERVER]
)
_WRITER_STATE = Gauge(
    "splitcache_bridge_writer_state",
    "1 for the state of the writer's lease: detached, joining, attached",
    [_SERVER, "state"],
)
_STOPPED = Gauge(
    "splitcache_bridge_stopped", "1 once two sidecars were found behind one address", [_SERVER]
)


class BridgeMetrics:
    """The metrics of one homeserver. Several of one process share the registry."""

    def __init__(self, server_name: str) -> None:
        self._server = server_name
        self.breaker_state(0)
        _STOPPED.labels(server_name).set(0)

    def looked_up(self, hits: int, misses: int) -> None:
        _LOOKUPS.labels(self._server, "hit").inc(hits)
        _LOOKUPS.labels(self._server, "miss").inc(misses)

    def request_done(self, seconds: float, batch_size: int) -> None:
        _LOOKUP_SECONDS.labels(self._server).observe(seconds)
        _BATCH_SIZE.labels(self._server).observe(batch_size)

    def error(self, kind: str) -> None:
        _ERRORS.labels(self._server, kind).inc()

    def breaker_state(self, state: int) -> None:
        _BREAKER.labels(self._server).set(state)

    def filled(self, outcome: str, events: int = 1) -> None:
        _FILLS.labels(self._server, outcome).inc(events)

    def announced(self, kind: str, outcome: str) -> None:
        _ANNOUNCEMENTS.labels(self._server, kind, outcome).inc()

    def pending(self, changes: int) -> None:
        _PENDING.labels(self._server).set(changes)

    def writer_state(self, state: str) -> None:
        for each in ("detached", "joining", "attached"):
            _WRITER_STATE.labels(self._server, each).set(each == state)

    def stopped(self) -> None:
        _STOPPED.labels(self._server).set(1)
