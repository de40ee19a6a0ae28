"""Announces what others left behind, and purges: in a thread of its own, which may wait."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import grpc

from splitcache_client.channel import Channels
from splitcache_client.metrics import ClientMetrics
from splitcache_client.pending import Announcement, Pending, purge_homeserver
from splitcache_client.transport import CHANNEL_OPTIONS, call, is_refused

logger = logging.getLogger(__name__)

TIMEOUT_S = 1.0


class Relayed(NamedTuple):
    """All of it was answered OK, and in one epoch."""

    epoch: bytes


class Relay:
    """At most one task at a time. A channel of its own: a busy loop does not delay it."""

    def __init__(self, channels: Channels, homeserver: str, metrics: ClientMetrics) -> None:
        self._channels = channels
        self._homeserver = homeserver
        self._metrics = metrics
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._is_busy = threading.Event()

    @property
    def is_busy(self) -> bool:
        return self._is_busy.is_set()

    def start(self) -> None:
        threading.Thread(target=self._run, name="splitcache-relay", daemon=True).start()

    def stop(self) -> None:
        self._tasks.put(None)

    def announce(self, texts: Sequence[str], on_done: Callable[[Relayed | None], None]) -> None:
        """Announces what outbox rows say. `on_done` runs in the relay's thread."""
        everything = Pending()
        for text in texts:
            everything.add_text(text)
        self._put(everything.announcements(self._homeserver), on_done)

    def purge(self, on_done: Callable[[Relayed | None], None], *, new_epoch: bool = False) -> None:
        self._put([purge_homeserver(self._homeserver, new_epoch=new_epoch)], on_done)

    def _put(self, calls: list[Announcement], on_done: Callable[[Relayed | None], None]) -> None:
        self._is_busy.set()
        self._tasks.put(_Task(calls, on_done))

    def _run(self) -> None:
        certificates = self._channels.certificates()
        channel = self._channels.open(CHANNEL_OPTIONS)
        has_failed = False
        while (task := self._tasks.get()) is not None:
            found = self._channels.certificates()
            if found is not certificates or has_failed:
                channel.close()
                certificates, channel = found, self._channels.open(CHANNEL_OPTIONS)
            relayed = self._relay(channel, task.calls)
            # gRPC does not see by itself that packets vanish.
            has_failed = relayed is None
            self._is_busy.clear()
            task.on_done(relayed)
        channel.close()

    def _relay(self, channel: Any, calls: list[Announcement]) -> Relayed | None:
        epochs = set()
        for kind, method, request in calls:
            try:
                reply: Any = self._call(channel, kind, method, request)
            except grpc.RpcError as error:
                self._metrics.error("relay")
                logger.info("splitcache: %s was not relayed: %s", method, _code_of(error))
                return None
            self._metrics.announced(kind, "relayed")
            epochs.add(bytes(reply.position.epoch))
        return Relayed(epochs.pop()) if len(epochs) == 1 else None

    def _call(self, channel: Any, kind: str, method: str, request: Any) -> Any:
        try:
            return call(channel, method)(request, timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            if not is_refused(error) or kind == "homeserver":
                raise
            # It would be refused each time. This says more than is needed, and is never wrong.
            logger.error("splitcache: %s was refused: %s", method, error)
            _, method, request = purge_homeserver(self._homeserver)
            return call(channel, method)(request, timeout=TIMEOUT_S)


class _Task(NamedTuple):
    calls: list[Announcement]
    on_done: Callable[[Relayed | None], None]


def _code_of(error: grpc.RpcError) -> Any:
    code = getattr(error, "code", None)
    return code() if code is not None else error
