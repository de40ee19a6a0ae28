"""Follows what changes in the homeserver's log, and has it dropped from the near cache."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import Any

import grpc

from splitcache_client.drop import Drop
from splitcache_client.gen import event_cache_service_pb2 as pb
from splitcache_client.near_cache import NearCache

logger = logging.getLogger(__name__)

# Frames that wait for the loop. Beyond it the sidecar waits, which costs it nothing.
_FRAMES_MAX = 64
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
# Until the stream says which.
_SILENCE_LIMIT_S = 5.0


class Subscription:
    """On the loop's thread, but for the thread that waits for frames."""

    def __init__(
        self,
        *,
        open_call: Callable[[pb.SubscribeRequest], Any],
        reactor: Any,
        monotonic: Callable[[], float],
        homeserver: str,
        subscriber: str,
        near: NearCache,
        drop: Drop,
    ) -> None:
        self._open_call = open_call
        self._reactor = reactor
        self._monotonic = monotonic
        self._homeserver = homeserver
        self._subscriber = subscriber
        self._near = near
        self._drop = drop
        self._stream: _Stream | None = None
        self._pause_s = _FIRST_PAUSE_S
        self._silence_limit_s = _SILENCE_LIMIT_S
        self._heard_at = 0.0
        self._is_closed = False

    def start(self) -> None:
        self._open()
        self._watch()

    def stop(self) -> None:
        self._is_closed = True
        if self._stream is not None:
            self._stream.cancel()

    def _open(self) -> None:
        if self._is_closed or self._stream is not None:
            return
        request = pb.SubscribeRequest(homeserver=self._homeserver, subscriber=self._subscriber)
        if self._near.epoch:
            request.resume_after.epoch = self._near.epoch
            request.resume_after.sequence = self._near.applied
        self._heard_at = self._monotonic()
        try:
            call = self._open_call(request)
        except Exception as error:
            # A channel that was closed, say.
            logger.info("splitcache: no stream of changes: %s", error)
            self._open_later()
            return
        self._stream = _Stream(call, self._reactor, self._take, self._ended)

    def _open_later(self) -> None:
        if not self._is_closed:
            self._reactor.callLater(self._pause_s, self._open)
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)

    def _ended(self, stream: _Stream) -> None:
        if stream is self._stream:
            self._stream = None
            self._open_later()

    def _watch(self) -> None:
        """A stream on which nothing comes is stuck, whatever its connection says."""
        if self._is_closed:
            return
        self._reactor.callLater(1.0, self._watch)
        if self._stream and self._monotonic() - self._heard_at > self._silence_limit_s:
            logger.info("splitcache: nothing comes on the stream of changes; opening it anew")
            self._stream.cancel()

    def _take(self, stream: _Stream, frame: pb.SubscribeResponse) -> None:
        if stream is not self._stream:
            return
        self._heard_at = self._monotonic()
        self._pause_s = _FIRST_PAUSE_S
        kind = frame.WhichOneof("frame")
        if kind == "ready" or kind == "reset":
            self._begin(frame.ready if kind == "ready" else frame.reset, kind == "reset")
        elif kind == "batch":
            self._apply(frame.batch)
        elif kind == "progress" and frame.progress.position.epoch == self._near.epoch:
            self._near.advanced(frame.progress.position.sequence)

    def _begin(self, frame: Any, is_reset: bool) -> None:
        limit = frame.silence_limit
        if limit.seconds > 0:
            self._silence_limit_s = limit.seconds + limit.nanos / 1e9
        position = frame.position
        if is_reset or not frame.resumed:
            self._drop.kept()
            self._near.began(position.epoch, position.sequence, self._monotonic())

    def _apply(self, batch: pb.Batch) -> None:
        if batch.from_exclusive.epoch != self._near.epoch:
            return
        for notice in batch.notices:
            self._apply_one(notice)
        self._near.advanced(batch.to_inclusive.sequence)

    def _apply_one(self, notice: pb.Notice) -> None:
        kind = notice.WhichOneof("change")
        if kind == "event_redacted" or kind == "event_rejected":
            self._drop.event(getattr(notice, kind).event_id)
        elif kind == "events_invalidated":
            for event_id in notice.events_invalidated.event_ids:
                self._drop.event(event_id)
        elif kind == "room_purged":
            self._drop.room(notice.room_purged.room_id)
        else:
            # A change that this release does not know may be one of anything.
            self._drop.everything()


class _Stream:
    """One call of Subscribe and the thread that reads it."""

    def __init__(
        self,
        call: Any,
        reactor: Any,
        take: Callable[[_Stream, pb.SubscribeResponse], None],
        ended: Callable[[_Stream], None],
    ) -> None:
        self._call = call
        self._reactor = reactor
        self._take = take
        self._ended = ended
        # A thread that waits here reads no further frame.
        self._frames: queue.Queue[pb.SubscribeResponse] = queue.Queue(_FRAMES_MAX)
        self._is_cancelled = threading.Event()
        self._is_broken = self._has_begun = False
        threading.Thread(target=self._read, name="splitcache-changes", daemon=True).start()

    def cancel(self) -> None:
        self._is_cancelled.set()
        self._call.cancel()

    def _read(self) -> None:
        try:
            for frame in self._call:
                self._has_begun = True
                if not self._hand_over(frame):
                    break
        except grpc.RpcError as error:
            # While a sidecar is gone, many attempts to open a stream fail.
            level = logging.INFO if self._has_begun else logging.DEBUG
            logger.log(level, "splitcache: the stream of changes has ended: %s", error.code())
        finally:
            self._reactor.callFromThread(self._ended, self)

    def _hand_over(self, frame: pb.SubscribeResponse) -> bool:
        while not self._is_cancelled.is_set():
            try:
                self._frames.put(frame, timeout=0.5)
            except queue.Full:
                continue
            self._reactor.callFromThread(self._take_one)
            return True
        return False

    def _take_one(self) -> None:
        frame = self._frames.get_nowait()
        # What was not applied must not count as applied: nothing that comes after it is taken.
        if self._is_broken:
            return
        try:
            self._take(self, frame)
        except Exception:
            logger.exception("splitcache: a change could not be applied; following anew")
            self._is_broken = True
            self.cancel()
