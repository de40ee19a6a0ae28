"""Events as callers see them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from splitcache_client.gen import event_cache_service_pb2 as pb

# What an entry takes beside its text: objects and their places in two dicts.
_OVERHEAD_BYTES = 700


@dataclass(frozen=True, slots=True)
class Redaction:
    """The event was redacted. An empty redacted body: the sidecar prunes the body itself."""

    redacted_by: str
    redacted_body: bytes = b""


@dataclass(frozen=True, slots=True)
class Event:
    """One event and what the homeserver says of it. Frozen: the near cache shares it between
    threads and callers."""

    event_id: str
    room_id: str
    room_version: str
    # The JSON text.
    body: bytes
    rejected: bool = False
    rejected_reason: str = ""
    redaction: Redaction | None = None
    # Bytes that the sidecar does not read.
    internal_metadata: bytes = b""

    def parsed(self) -> Any:
        """The body's JSON: new objects at each call."""
        return json.loads(self.body)

    @property
    def bytes(self) -> int:
        """Memory that the event takes in a near cache, about."""
        redacted = len(self.redaction.redacted_body) if self.redaction else 0
        return _OVERHEAD_BYTES + len(self.body) + len(self.internal_metadata) + redacted


def from_message(message: pb.CachedEvent) -> Event:
    redaction = None
    if message.HasField("redaction"):
        redaction = Redaction(message.redaction.redacted_by, message.redaction.redacted_body)
    return Event(
        message.event_id,
        message.room_id,
        message.room_version,
        message.body,
        message.rejected,
        message.rejected_reason,
        redaction,
        message.internal_metadata,
    )


def to_message(event: Event) -> pb.CachedEvent:
    message = pb.CachedEvent(
        event_id=event.event_id,
        room_id=event.room_id,
        room_version=event.room_version,
        body=event.body,
        rejected=event.rejected,
        rejected_reason=event.rejected_reason,
        internal_metadata=event.internal_metadata,
    )
    if event.redaction is not None:
        message.redaction.redacted_by = event.redaction.redacted_by
        message.redaction.redacted_body = event.redaction.redacted_body
    return message
