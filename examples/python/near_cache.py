"""What a process keeps of replies, and when it may use it. A listener of a subscription."""

from __future__ import annotations

import math
import threading
from collections import deque

from follow import said
from gate import POSITION_AGE_MAX_S, clock
from splitcache_proto.v1 import event_cache_service_pb2 as pb

EVENTS_KEPT_MAX = 1_000
ANSWERS_MAX = 10


class NearCache:
    """Frames alone prove nothing: after a freeze they may be old ones from a buffer. What is kept
    is used only while a recent position request proves that the stream has not fallen behind."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: dict[str, pb.CachedEvent] = {}
        # What the stream has applied; without an epoch before its first frame.
        self._applied = pb.Position()
        # When the stream last began with nothing to go on from.
        self._began_at = math.inf
        # When the newest position request was sent whose position the stream has applied.
        self._proved_at = -math.inf
        # Answered requests whose position it has not applied yet: when sent, and the sequence.
        self._answers: deque[tuple[float, int]] = deque(maxlen=ANSWERS_MAX)

    def answered(self, position: pb.Position, sent_at: float) -> None:
        """A position request, sent while the gate was open, was answered so."""
        with self._lock:
            if position.epoch == self._applied.epoch and sent_at >= self._began_at:
                self._answers.append((sent_at, position.sequence))
                self._prove()

    def epoch(self) -> str:
        """The epoch of all that is kept."""
        with self._lock:
            return self._applied.epoch.hex()

    def get(self, event_id: str) -> pb.CachedEvent | None:
        """What may be used now, if the gate is open and the epoch is the registered one."""
        with self._lock:
            is_proved = clock() - self._proved_at < POSITION_AGE_MAX_S
            return self._events.get(event_id) if is_proved else None

    def keep(self, event: pb.CachedEvent, position: pb.Position, sent_at: float) -> None:
        """Keeps a hit of a reply with this position, unless the stream has applied a later change,
        which may be one of this event."""
        with self._lock:
            if (
                position.epoch != self._applied.epoch
                or sent_at < self._began_at
                or self._applied.sequence > position.sequence
            ):
                return
            self._events[event.event_id] = event
            if len(self._events) > EVENTS_KEPT_MAX:
                del self._events[next(iter(self._events))]

    # What the stream says.

    def began(self, frame: pb.SubscribeResponse, position: pb.Position) -> None:
        if frame.HasField("ready") and frame.ready.resumed:
            return
        with self._lock:
            self._events.clear()
            self._answers.clear()
            self._applied = position
            self._began_at = clock()
            self._proved_at = -math.inf

    def changed(self, notice: pb.Notice) -> None:
        kind = notice.WhichOneof("change")
        with self._lock:
            if kind == "event_redacted" or kind == "event_rejected":
                self._events.pop(getattr(notice, kind).event_id, None)
            elif kind == "events_invalidated":
                for event_id in notice.events_invalidated.event_ids:
                    self._events.pop(event_id, None)
            elif kind == "room_purged":
                room_id = notice.room_purged.room_id
                self._events = {k: e for k, e in self._events.items() if e.room_id != room_id}
            else:
                # A change that this client does not know may be of everything.
                self._events.clear()
            # Before the rest of its batch: a reply from before this change is not kept any more.
            self._applied = pb.Position(epoch=self._applied.epoch, sequence=notice.sequence)

    def applied(self, position: pb.Position) -> None:
        with self._lock:
            self._applied = position
            self._prove()

    def going_away(self) -> None: ...

    def disconnected(self, code: str) -> None:
        said("disconnected", code)

    def _prove(self) -> None:
        while self._answers and self._answers[0][1] <= self._applied.sequence:
            self._proved_at = max(self._proved_at, self._answers.popleft()[0])
