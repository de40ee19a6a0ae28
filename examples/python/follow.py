"""Follows what changes, as long as the program runs, and misses nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

import grpc
from cache import Cache, Epochs, name, show
from splitcache_proto.v1 import event_cache_service_pb2 as pb

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 1.0
# Until the stream names it.
SILENCE_LIMIT_S = 5.0


class Listener(Protocol):
    """What is done about the frames. All methods are called in one thread."""

    def began(self, frame: pb.SubscribeResponse, position: pb.Position) -> None:
        """Ready or Reset. Unless it resumed, drop everything that is kept."""

    def changed(self, notice: pb.Notice) -> None:
        """Drop what the notice names."""

    def applied(self, position: pb.Position) -> None:
        """All notices up to here were handed over."""

    def going_away(self) -> None: ...

    def disconnected(self, code: str) -> None: ...


def follow(cache: Cache, listener: Listener) -> None:
    applied: pb.Position | None = None
    pause_s = FIRST_PAUSE_S
    while True:
        stream = cache.subscribe(applied)
        silence = Silence(stream.cancel)
        try:
            for frame in stream:
                silence.heard(frame)
                pause_s = FIRST_PAUSE_S
                applied = hand_over(frame, listener) or applied
        except grpc.RpcError as error:
            listener.disconnected(error.code().name)
        finally:
            silence.stop()
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


class Silence:
    """Ends a stream on which no frame has come for the silence limit: it may be cut off. Then the
    subscriber resumes on a new one."""

    def __init__(self, cancel: Callable[[], object]) -> None:
        self._cancel = cancel
        self._limit_s = SILENCE_LIMIT_S
        self._timer = self._start()

    def heard(self, frame: pb.SubscribeResponse) -> None:
        if frame.WhichOneof("frame") in ("ready", "reset"):
            first = frame.ready if frame.HasField("ready") else frame.reset
            self._limit_s = first.silence_limit.ToTimedelta().total_seconds()
        self.stop()
        self._timer = self._start()

    def stop(self) -> None:
        self._timer.cancel()

    def _start(self) -> threading.Timer:
        timer = threading.Timer(self._limit_s, self._cancel)
        timer.daemon = True
        timer.start()
        return timer


def hand_over(frame: pb.SubscribeResponse, listener: Listener) -> pb.Position | None:
    """Hands over one frame; returns where the subscriber stands after it."""
    kind = frame.WhichOneof("frame")
    if kind == "ready" or kind == "reset":
        position = getattr(frame, kind).position
        listener.began(frame, position)
    elif kind == "batch":
        position = frame.batch.to_inclusive
        for notice in frame.batch.notices:
            listener.changed(notice)
    elif kind == "progress":
        position = frame.progress.position
    else:
        # A client skips a frame that it does not know.
        if kind == "going_away":
            listener.going_away()
        return None
    listener.applied(position)
    return position


class Printer:
    """A listener of a client that keeps nothing and has no database, such as a bot."""

    def __init__(self) -> None:
        self._epochs = Epochs()

    def began(self, frame: pb.SubscribeResponse, position: pb.Position) -> None:
        self._epochs.see(position)
        if frame.HasField("ready"):
            said("ready", show(position), f"resumed={str(frame.ready.resumed).lower()}")
        else:
            reason = name(pb.ResetReason, frame.reset.reason, "RESET_REASON_")
            said("reset", show(position), reason)

    def changed(self, notice: pb.Notice) -> None:
        said("notice", notice.sequence, *describe(notice))

    def applied(self, position: pb.Position) -> None:
        self._epochs.see(position)

    def going_away(self) -> None:
        said("going away")

    def disconnected(self, code: str) -> None:
        said("disconnected", code)


def said(*words: object) -> None:
    # One write: several threads print, and their lines must not mix.
    print(" ".join(map(str, words)) + "\n", end="", flush=True)


def describe(notice: pb.Notice) -> list[str]:
    kind = notice.WhichOneof("change")
    if kind in (None, "homeserver_purged"):
        # A change that this client does not know may be of everything.
        return ["homeserver_purged"]
    change = getattr(notice, kind)
    words = [kind, change.room_id or "-"]
    if kind == "event_redacted":
        return [*words, change.event_id, change.redacted_by]
    if kind == "event_rejected":
        return [*words, change.event_id, str(change.rejected).lower()]
    return words + (list(change.event_ids) if kind == "events_invalidated" else [])
