"""Synapse's event cache entries in the form in which the sidecar keeps them.

The body is the event without `unsigned` and `age_ts`. No hash and no signature covers these two,
and each homeserver sets its own: without them nearly all homeservers have the same body, which the
sidecar stores once. They go into the internal metadata, with the rest of what Synapse's database
says of the event. That is kept for each homeserver and each event, so it is a short JSON array:

    [version, stream_ordering, instance_name, outlier, internal_metadata, unsigned]

followed by `age_ts` if the event has one at the top level. Synapse before 1.153 wrote it there, in
events that it received.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any, NamedTuple

from synapse.api.room_versions import KNOWN_ROOM_VERSIONS, RoomVersion
from synapse.events import EventBase, make_event_from_dict
from synapse.events.utils import prune_event
from synapse.storage.databases.main.events_worker import EventCacheEntry

from splitcache_client.gen import event_cache_service_pb2 as pb
from splitcache_client.seldom import SeldomLog

try:
    from synapse.events import make_event_from_json
except ImportError:
    # Synapse 1.153 makes events from dicts alone.
    make_event_from_json = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)
_unreadable = SeldomLog(logger)

# Counts up when the form changes. An entry of another version is a miss. Version 1 was an object,
# which held the signatures, and left `age_ts` in the body.
FORMAT_VERSION = 2

# Limits of the contract, in bytes. A batch with anything longer would be refused whole.
_BODY_MAX = 256 * 1024
_INTERNAL_METADATA_MAX = 16 * 1024
_ID_MAX = 1_020
_REASON_MAX = 1_024

_AGE = "age_ts"


class OwnFacts(NamedTuple):
    """What a homeserver's database alone says of an event."""

    stream_ordering: int | None
    instance_name: str | None
    outlier: bool
    internal_metadata: dict[str, Any]
    unsigned: dict[str, Any]
    # The event's top-level `age_ts`, or nothing.
    age_ts: tuple[Any, ...] = ()


def to_cached(entry: EventCacheEntry) -> pb.CachedEvent | None:
    """The entry in the sidecar's form; None if it is over a limit of the contract.

    Changes nothing of the entry.
    """
    return prepare(entry)()


def prepare(entry: EventCacheEntry) -> Callable[[], pb.CachedEvent | None]:
    """Takes down what Synapse changes in place once others hold the entry (`unsigned`, the internal
    metadata); the result makes the sidecar's form of it, which takes ten times as long."""
    event = entry.event
    # Without what get_events put into `unsigned` for this process alone.
    parts: dict[str, Any] = event.get_dict_for_persistence()
    metadata = event.internal_metadata
    own = OwnFacts(
        metadata.stream_ordering,
        metadata.instance_name,
        metadata.outlier,
        metadata.get_dict(),
        parts.pop("unsigned"),
        (parts.pop(_AGE),) if _AGE in parts else (),
    )
    redacted_event = entry.redacted_event
    # Synapse's pruning is deterministic: the text need not be kept.
    redacted_by: str | None = None
    if redacted_event is not None:
        redacted_by = redacted_event.internal_metadata.redacted_by or ""

    def make() -> pb.CachedEvent | None:
        cached = pb.CachedEvent(
            event_id=event.event_id,
            room_id=event.room_id,
            room_version=event.room_version.identifier,
            body=_encode(parts),
            rejected=event.rejected_reason is not None,
            rejected_reason=event.rejected_reason or "",
            internal_metadata=_encode([FORMAT_VERSION, *own[:-1], *own.age_ts]),
        )
        if redacted_by is not None:
            cached.redaction.redacted_by = redacted_by
        return cached if _within_limits(cached) else None

    return make


def from_cached(cached: pb.CachedEvent) -> EventCacheEntry | None:
    """The entry that Synapse would have read from its database; None if this cannot be one.

    Takes what the sidecar answers to a read with the view ORIGINAL. Never raises.
    """
    try:
        return _from_cached(cached)
    except Exception as error:
        _unreadable.log(
            logging.WARNING,
            "splitcache: cannot read what the sidecar holds of %s: %s",
            cached.event_id,
            error,
        )
        return None


def _from_cached(cached: pb.CachedEvent) -> EventCacheEntry | None:
    own = own_facts(cached.internal_metadata)
    room_version = KNOWN_ROOM_VERSIONS.get(cached.room_version)
    if own is None or room_version is None:
        return None
    event = _event(cached, own, room_version)
    event.internal_metadata.stream_ordering = own.stream_ordering
    event.internal_metadata.instance_name = own.instance_name
    event.internal_metadata.outlier = own.outlier
    if event.event_id != cached.event_id or event.room_id != cached.room_id:
        return None
    redacted_event = None
    if cached.HasField("redaction"):
        redacted_event = prune_event(event)
        redacted_event.internal_metadata.redacted_by = cached.redaction.redacted_by
    return EventCacheEntry(event=event, redacted_event=redacted_event)


def _event(cached: pb.CachedEvent, own: OwnFacts, room_version: RoomVersion) -> EventBase:
    own_keys = {"unsigned": own.unsigned, **({_AGE: own.age_ts[0]} if own.age_ts else {})}
    rejected_reason = cached.rejected_reason if cached.rejected else None
    if make_event_from_json is None:
        return make_event_from_dict(
            json.loads(cached.body) | own_keys, room_version, own.internal_metadata, rejected_reason
        )
    # Synapse parses the text itself. To parse and to encode it here as well would double the cost.
    text = f"{cached.body[:-1].decode()},{json.dumps(own_keys)[1:]}"
    return make_event_from_json(text, room_version, own.internal_metadata, rejected_reason)


def own_facts(encoded: bytes) -> OwnFacts | None:
    """What an entry's internal metadata says; None if it is of another version.

    Raises ValueError or TypeError if it is damaged.
    """
    stored = json.loads(encoded)
    if not isinstance(stored, list) or not stored or stored[0] != FORMAT_VERSION:
        return None
    _, stream_ordering, instance_name, outlier, internal_metadata, unsigned, *age_ts = stored
    return OwnFacts(
        stream_ordering, instance_name, outlier, internal_metadata, unsigned, tuple(age_ts)
    )


def _encode(value: dict[str, Any] | list[Any]) -> bytes:
    """One text for equal values.

    Not canonical JSON: room versions up to 5 allow floats and integers that it forbids, and
    lone surrogates, which have no UTF-8, must survive.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


def _within_limits(cached: pb.CachedEvent) -> bool:
    return (
        len(cached.body) <= _BODY_MAX
        and len(cached.internal_metadata) <= _INTERNAL_METADATA_MAX
        and 0 < len(cached.event_id.encode()) <= _ID_MAX
        and 0 < len(cached.room_id.encode()) <= _ID_MAX
        and len(cached.rejected_reason.encode()) <= _REASON_MAX
    )
