"""Announces what this process changes, and renews its writer lease."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import grpc
from twisted.internet.defer import Deferred

from splitcache_synapse.gen import event_cache_service_pb2 as pb
from splitcache_synapse.metrics import BridgeMetrics
from splitcache_synapse.pending import Announcement, Pending, purge_homeserver
from splitcache_synapse.transport import Transport
from splitcache_synapse.writer_lease import DETACHED, WriterLease

logger = logging.getLogger(__name__)

RENEWAL_INTERVAL_S = 1.0
TIMEOUT_S = 1.0
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0


class Announcer:
    """Runs on the reactor's thread, but for `begin` and `committing`. Nothing it does raises."""

    def __init__(
        self,
        *,
        transport: Transport,
        reactor: Any,
        monotonic: Callable[[], float],
        homeserver: str,
        writer: str | None,
        observe: Callable[[pb.Position, int], None],
        mark: Callable[[], int],
        metrics: BridgeMetrics,
        start_delay_s: float,
    ) -> None:
        """`writer`: the name whose lease this process holds; None if it is no declared writer."""
        self._transport = transport
        self._reactor = reactor
        self._monotonic = monotonic
        self._homeserver = homeserver
        self._writer = writer
        self._observe = observe
        self._mark = mark
        self._metrics = metrics
        self._lease = WriterLease(monotonic, start_delay_s)
        # Without a lease to lapse, reading stops for a while after an announcement was given up.
        self._reads_after = monotonic()
        self._renewing = False
        self._stopped = False
        self._on_end: Callable[[], None] | None = None
        self._state = ""

    @property
    def may_read(self) -> bool:
        """Whether this process may use what it reads from the cache."""
        if self._writer is None:
            return self._monotonic() >= self._reads_after
        return self._lease.may_read

    def start(self) -> None:
        if self._writer is not None:
            self._report_state()
            self._tick()

    def stop(self, on_end: Callable[[], None]) -> None:
        """Renews nothing more; the lease is left to lapse, see writer_lease. What is pending is
        still announced, since others read on: then calls `on_end`."""
        self._stopped = True
        self._on_end = on_end
        self._end_if_idle()

    def begin(self) -> Pending:
        """A transaction is about to change something. In any thread."""
        return self._lease.begin()

    def committing(self, pending: Pending) -> None:
        """Its COMMIT is about to be sent. In any thread."""
        self._lease.committing(pending)

    def finish(self, pending: Pending) -> Deferred[None]:
        """COMMIT has been answered, or has failed, and then whether it took effect is unknown.

        Fires once the change is announced, or given up after two lease times. May be called again.
        """
        done: Deferred[None] = Deferred()
        if pending.committed_at is not None:
            done.callback(None)
            return done
        pending.committed_at = self._monotonic()
        calls = pending.announcements(self._homeserver) if pending.announces else []
        self._metrics.pending(self._lease.pending_changes())
        self._announce(pending, calls, FIRST_PAUSE_S, done)
        return done

    def _announce(
        self, pending: Pending, calls: list[Announcement], pause_s: float, done: Deferred[None]
    ) -> None:
        """Makes the calls one after another, each until it is OK."""
        if not calls:
            self._end(pending, done)
            return
        if self._lease.given_up(pending):
            self._give_up(pending, calls, done)
            return
        kind, method, request = calls[0]
        mark = self._mark()

        def on_reply(reply: Any) -> None:
            if not isinstance(reply, Exception):
                self._metrics.announced(kind, "ok")
                self._announce(pending, calls[1:], FIRST_PAUSE_S, done)
                self._observe(reply.position, mark)
                return
            self._metrics.error("announce")
            rest = calls
            if isinstance(reply, grpc.RpcError) and _is_refused(reply) and kind != "homeserver":
                # It would be refused each time. This says more than is needed, and is never wrong.
                logger.error("splitcache: %s was refused: %s", method, reply)
                rest = [purge_homeserver(self._homeserver)]
            next_pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            self._reactor.callLater(pause_s, self._announce, pending, rest, next_pause_s, done)

        self._transport.unary(method, request, TIMEOUT_S, on_reply)

    def _give_up(self, pending: Pending, calls: list[Announcement], done: Deferred[None]) -> None:
        for kind, _, _ in calls:
            self._metrics.announced(kind, "given_up")
        if self._writer is None:
            logger.error(
                "splitcache: a change of this process, no declared writer, is not announced"
            )
            self._reads_after = self._monotonic() + 2 * self._lease.lease_s
        elif self._lease.state != DETACHED:
            logger.warning(
                "splitcache: the sidecar took no announcement for two lease times; writes go on "
                "without it, and this process reads from the database alone until it is back"
            )
            self._lease.detach()
            self._report_state()
        self._end(pending, done)

    def _end(self, pending: Pending, done: Deferred[None]) -> None:
        self._lease.end(pending)
        self._metrics.pending(self._lease.pending_changes())
        done.callback(None)
        self._end_if_idle()

    def _end_if_idle(self) -> None:
        if self._on_end is not None and self._lease.pending_changes() == 0:
            on_end, self._on_end = self._on_end, None
            on_end()

    def _tick(self) -> None:
        if self._stopped:
            return
        self._reactor.callLater(RENEWAL_INTERVAL_S, self._tick)
        if self._renewing or not self._lease.may_renew():
            return
        self._renewing = True
        if self._lease.state == DETACHED:
            self._probe()
        else:
            self._renew()

    def _probe(self) -> None:
        """Asks for the position alone: once a lease has been asked for, writes wait again."""
        request = pb.GetEventsRequest(homeserver=self._homeserver)

        def on_reply(reply: Any) -> None:
            if isinstance(reply, Exception):
                self._renewing = False
            else:
                self._renew()

        self._transport.unary("GetEvents", request, TIMEOUT_S, on_reply)

    def _renew(self) -> None:
        renewal = self._lease.ask()
        if renewal is None:
            self._renewing = False
            return
        mark = self._mark()
        request = pb.RenewWriterLeaseRequest(
            homeserver=self._homeserver, writer=self._writer, lease_token=renewal.token
        )

        def on_reply(reply: Any) -> None:
            self._renewing = False
            if isinstance(reply, Exception):
                self._metrics.error("renew")
                return
            lease_s = reply.lease_duration.seconds + reply.lease_duration.nanos / 1e9
            self._lease.granted(renewal, reply.lease_token, lease_s)
            self._report_state()
            self._observe(reply.position, mark)

        self._transport.unary("RenewWriterLease", request, TIMEOUT_S, on_reply)

    def _report_state(self) -> None:
        if self._lease.state != self._state:
            self._state = self._lease.state
            self._metrics.writer_state(self._state)
            logger.info("splitcache: writer %s is %s", self._writer, self._state)


def _is_refused(error: grpc.RpcError) -> bool:
    code = getattr(error, "code", None)
    return code is not None and code() == grpc.StatusCode.INVALID_ARGUMENT
