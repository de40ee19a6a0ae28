"""What the module counts, in Synapse's own registry."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from splitcache_client.metrics import ClientMetrics, OutboxState

_SERVER = "server_name"
_ACTIVE = Gauge(
    "splitcache_bridge_active",
    "1 while the module is in use; 0 if it does not support this release of Synapse",
    [_SERVER],
)
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
_STORED = Counter(
    "splitcache_bridge_new_events",
    "Events that this process has stored, by what became of them: read_back (and put), dropped "
    "(too many at once), not_put (the sidecar was not up to date or gone), failed (not read)",
    [_SERVER, "outcome"],
)
_ANNOUNCEMENTS = Counter(
    "splitcache_bridge_announcements",
    "Announcements, by kind (events, room, homeserver) and outcome (ok, late, relayed)",
    [_SERVER, "kind", "outcome"],
)
_PENDING = Gauge(
    "splitcache_bridge_pending_changes", "Changes that are not announced yet", [_SERVER]
)
_WRITES_WAIT = Gauge(
    "splitcache_bridge_writes_wait",
    "1 while writes wait for their announcement, 0 while announcements fail",
    [_SERVER],
)
_AUDITS = Counter(
    "splitcache_bridge_audits",
    "Reads audited, by outcome: same, different (confirmed), changed (explained by a change), "
    "unconfirmed (the sidecar no longer has the event); or dropped, failed (not audited)",
    [_SERVER, "outcome"],
)
_AUDIT_DIFFERENCES = Counter(
    "splitcache_bridge_audit_differences",
    "Audited reads in which the sidecar differed from the database, confirmed by a second reading",
    [_SERVER],
)
_GATE = Gauge(
    "splitcache_bridge_gate_open", "1 while the outbox permits reading from the cache", [_SERVER]
)
_OUTBOX_ROWS = Gauge(
    "splitcache_bridge_outbox_rows", "Rows that the last poll of the outbox has shown", [_SERVER]
)
_OUTBOX_OLDEST = Gauge(
    "splitcache_bridge_outbox_oldest_row_seconds",
    "Age of the oldest row that this process has not announced; +Inf if it is not known",
    [_SERVER],
)
_GATE_AGE = Gauge(
    "splitcache_bridge_gate_age_seconds",
    "Age of the poll of the outbox by which the gate is judged; +Inf before the first",
    [_SERVER],
)
_BOUND = Gauge(
    "splitcache_bridge_staleness_bound_seconds",
    "How stale a reply of the sidecar can be at this moment at most; 0 while the gate is closed",
    [_SERVER],
)
_OTHER_EPOCHS = Counter(
    "splitcache_bridge_other_epoch_replies",
    "Replies of an epoch that is not the registered one, and not used",
    [_SERVER],
)


def report_active(server_name: str, is_active: bool) -> None:
    _ACTIVE.labels(server_name).set(is_active)


class BridgeMetrics(ClientMetrics):
    """The metrics of one homeserver. Several of one process share the registry."""

    def __init__(self, server_name: str) -> None:
        self._server = server_name
        self.breaker_state(0)
        self.writes_wait(True)

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

    def stored(self, outcome: str, events: int) -> None:
        _STORED.labels(self._server, outcome).inc(events)

    def announced(self, kind: str, outcome: str) -> None:
        _ANNOUNCEMENTS.labels(self._server, kind, outcome).inc()

    def pending(self, changes: int) -> None:
        _PENDING.labels(self._server).set(changes)

    def writes_wait(self, waits: bool) -> None:
        _WRITES_WAIT.labels(self._server).set(waits)

    def watch_outbox(self, outbox: OutboxState) -> None:
        """It is asked when the metrics are read, in any thread."""
        _GATE.labels(self._server).set_function(outbox.is_open)
        _GATE_AGE.labels(self._server).set_function(outbox.gate_age_s)
        _BOUND.labels(self._server).set_function(outbox.bound_s)
        _OUTBOX_ROWS.labels(self._server).set_function(outbox.rows)
        _OUTBOX_OLDEST.labels(self._server).set_function(outbox.oldest_row_s)

    def replied_in_another_epoch(self) -> None:
        _OTHER_EPOCHS.labels(self._server).inc()


class AuditMetrics:
    """Of the audits of one homeserver. All outcomes are there from the start, as zero."""

    def __init__(self, server_name: str) -> None:
        self._server = server_name
        for outcome in ("same", "different", "changed", "unconfirmed", "dropped", "failed"):
            _AUDITS.labels(server_name, outcome)
        _AUDIT_DIFFERENCES.labels(server_name)

    def audited(self, outcome: str) -> None:
        _AUDITS.labels(self._server, outcome).inc()
        if outcome == "different":
            _AUDIT_DIFFERENCES.labels(self._server).inc()
