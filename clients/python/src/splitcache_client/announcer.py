"""Announces what this process changes, after each commit."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from splitcache_client.freshness import Freshness
from splitcache_client.metrics import ClientMetrics
from splitcache_client.outbox_rules import WRITE_WAIT_S
from splitcache_client.pending import Announcement, Pending, purge_homeserver
from splitcache_client.transport import Transport, is_refused

logger = logging.getLogger(__name__)

TIMEOUT_S = 1.0
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0
# How soon an OK is looked at again that does not count yet.
_COUNTS_AGAIN_S = 0.1


@dataclass
class _Means:
    """What announcing takes."""

    transport: Transport
    reactor: Any
    monotonic: Callable[[], float]
    homeserver: str
    freshness: Freshness
    metrics: ClientMetrics


class Announcer:
    """Runs on the loop's thread. Nothing it does raises.

    What it does not announce in time stays in the outbox, and is relayed from there.
    """

    def __init__(
        self,
        *,
        transport: Transport,
        reactor: Any,
        monotonic: Callable[[], float],
        homeserver: str,
        freshness: Freshness,
        metrics: ClientMetrics,
    ) -> None:
        self._means = _Means(transport, reactor, monotonic, homeserver, freshness, metrics)
        self._metrics = metrics
        self._pending = 0
        # Whether writes wait for their announcement (O7): not after one was late, until the next
        # one is in time.
        self._waits = True
        self._on_idle: Callable[[], None] | None = None

    def announce(self, pending: Pending, on_done: Callable[[], None]) -> None:
        """COMMIT has been answered. `on_done` is called when no lookup that begins later finds what
        was before, or once the write has waited long enough (O7). May be called again."""
        done = _Once(on_done)
        if pending.committed_at is not None:
            done()
            return
        pending.committed_at = self._means.monotonic()
        self._pending += 1
        self._metrics.pending(self._pending)
        _Announcing(self._means, pending, done, self._ended).begin()
        if not self._waits:
            done()

    def when_idle(self, call: Callable[[], None]) -> None:
        """Calls it once nothing is being announced."""
        self._on_idle = call
        self._end_if_idle()

    def _ended(self, in_time: bool) -> None:
        self._pending -= 1
        self._metrics.pending(self._pending)
        if in_time != self._waits:
            self._waits = in_time
            self._metrics.writes_wait(in_time)
            logger.warning(
                "splitcache: writes %s for their announcement",
                "wait again" if in_time else "do not wait any longer",
            )
        self._end_if_idle()

    def _end_if_idle(self) -> None:
        if self._on_idle is not None and self._pending == 0:
            on_idle, self._on_idle = self._on_idle, None
            on_idle()


class _Once:
    """Calls it at the first time alone."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call: Callable[[], None] | None = call

    def __call__(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call()


class _Announcing:
    """One change on its way."""

    def __init__(
        self,
        means: _Means,
        pending: Pending,
        done: _Once,
        ended: Callable[[bool], None],
    ) -> None:
        """`ended` is called with whether it was announced in time."""
        self._means = means
        self._ended = ended
        self._row = pending.row_id
        self._calls = pending.announcements(means.homeserver)
        self._gives_up_at = means.monotonic() + WRITE_WAIT_S
        self._pause_s = FIRST_PAUSE_S
        self._done = done
        self._timer: Any = None
        self._is_over = False

    def begin(self) -> None:
        if not self._calls:
            self._end(in_time=True)
            return
        if not self._means.transport.immediate:
            self._timer = self._means.reactor.callLater(WRITE_WAIT_S, self._give_up)
        self._call_next(self._calls, None)

    def _call_next(self, calls: list[Announcement], epoch: bytes | None) -> None:
        """Makes the calls one after another. All must be answered OK in one epoch."""
        if self._is_over:
            return
        if not calls:
            self._announced(epoch or b"")
            return
        kind, method, request = calls[0]
        sent_at = self._means.monotonic()

        def on_reply(reply: Any) -> None:
            if isinstance(reply, Exception):
                self._failed(calls, epoch, reply)
                return
            self._means.metrics.announced(kind, "ok")
            answered = bytes(reply.position.epoch)
            self._means.freshness.replied(answered, sent_at)
            if epoch is not None and answered != epoch:
                self._again(self._calls)
            else:
                self._call_next(calls[1:], answered)

        self._means.transport.unary(method, request, TIMEOUT_S, on_reply)

    def _failed(self, calls: list[Announcement], epoch: bytes | None, error: Exception) -> None:
        self._means.metrics.error("announce")
        if is_refused(error) and calls[0][0] != "homeserver":
            # It would be refused each time. This says more than is needed, and is never wrong.
            logger.error("splitcache: %s was refused: %s", calls[0][1], error)
            self._calls = calls = [purge_homeserver(self._means.homeserver)]
            epoch = None
        self._again(calls, epoch)

    def _again(self, calls: list[Announcement], epoch: bytes | None = None) -> None:
        if self._is_over:
            return
        if self._means.monotonic() >= self._gives_up_at:
            self._give_up()
            return
        pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, LONGEST_PAUSE_S)
        self._means.reactor.callLater(pause_s, self._call_next, calls, epoch)

    def _announced(self, epoch: bytes) -> None:
        if self._row is None:
            # It was in no transaction: there is nothing to delete, and nobody relays it.
            self._end(in_time=True)
            return
        self._means.freshness.announced(self._row, epoch, lambda done: self._deleted(epoch, done))

    def _deleted(self, epoch: bytes, deleted: bool) -> None:
        if self._is_over:
            return
        if not deleted:
            self._again(self._calls)
        elif self._means.freshness.write_may_return(epoch):
            self._end(in_time=True)
        elif self._means.freshness.uses(epoch):
            self._means.reactor.callLater(_COUNTS_AGAIN_S, self._deleted, epoch, True)
        # Otherwise the epoch was replaced since, and other processes may still read in it: the
        # write waits until T.

    def _give_up(self) -> None:
        if not self._is_over:
            for kind, _, _ in self._calls:
                self._means.metrics.announced(kind, "late")
            self._end(in_time=False)

    def _end(self, *, in_time: bool) -> None:
        self._is_over = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._done()
        self._ended(in_time)
