"""Whether events survive the way into the sidecar and back in the Synapse that runs.

The source of Synapse that is written in Rust cannot be hashed, only its stubs. So one event of an
old and one of a new form is made, kept and read, as a lookup does it.
"""

from __future__ import annotations

import json
from typing import Any

from synapse.api.room_versions import KNOWN_ROOM_VERSIONS
from synapse.events import make_event_from_dict
from synapse.events.utils import prune_event
from synapse.storage.databases.main.events_worker import EventCacheEntry

from splitcache_client.gen import event_cache_service_pb2 as pb
from splitcache_synapse.comparison import differing, fields
from splitcache_synapse.stored_event import from_cached, to_cached

_HASH = "3Xk0FZ1mCq3ZpJt4uJbBfW5M3cVqBzV6f3qQn1o3x2E"
_COMMON: dict[str, Any] = {
    "type": "m.room.member",
    "state_key": "@a:a.example",
    "room_id": "!r:a.example",
    "sender": "@a:a.example",
    "content": {"membership": "join", "n": [1, {"\u00e9": None}], "t": True},
    "depth": 12,
    "origin_server_ts": 1_700_000_000_000,
    "hashes": {"sha256": _HASH},
    "signatures": {"a.example": {"ed25519:1": "c2lnbmF0dXJl"}},
    "unsigned": {"replaces_state": "$s:a.example"},
    "age_ts": 1_700_000_000_001,
}
_EVENTS: dict[str, dict[str, Any]] = {
    "1": {
        **_COMMON,
        "event_id": "$e:a.example",
        "auth_events": [["$c:a.example", {"sha256": _HASH}]],
        "prev_events": [["$p:a.example", {"sha256": _HASH}]],
    },
    "11": {**_COMMON, "auth_events": [f"${_HASH}"], "prev_events": [f"${_HASH}"]},
}
_METADATA = {"soft_failed": True, "txn_id": "t", "device_id": "D"}
_NOT_IN_BODY = frozenset({"unsigned", "age_ts"})


def broken_events() -> list[str]:
    """What does not survive. Empty: all does. Never raises."""
    found = []
    for room_version, parts in _EVENTS.items():
        try:
            names = _lost(room_version, parts)
        except Exception as error:
            names = [f"{type(error).__name__}: {error}"]
        if names:
            found.append(
                f"an event of room version {room_version} does not survive the sidecar: "
                f"{', '.join(names)}"
            )
    return found


def _lost(room_version: str, parts: dict[str, Any]) -> list[str]:
    entry = _entry(room_version, parts)
    cached = to_cached(entry)
    if cached is None:
        return ["it is over a limit"]
    body = {name: value for name, value in parts.items() if name not in _NOT_IN_BODY}
    kept = json.loads(cached.body)
    lost = [f"body.{name}" for name in body.keys() | kept if body.get(name) != kept.get(name)]
    came_back = from_cached(pb.CachedEvent.FromString(cached.SerializeToString()))
    lost += differing(fields(entry), fields(came_back))
    if came_back is not None:
        # As JSON: some releases have tuples for lists.
        after = json.loads(json.dumps(came_back.event.get_dict_for_persistence(), default=dict))
        lost += [name for name in parts if after.get(name) != parts[name]]
    return sorted(set(lost))


def _entry(room_version: str, parts: dict[str, Any]) -> EventCacheEntry:
    # A copy: Synapse changes it in place.
    event = make_event_from_dict(
        json.loads(json.dumps(parts)), KNOWN_ROOM_VERSIONS[room_version], dict(_METADATA), "reason"
    )
    event.internal_metadata.stream_ordering = 7
    event.internal_metadata.instance_name = "writer"
    event.internal_metadata.outlier = True
    redacted = prune_event(event)
    redacted.internal_metadata.redacted_by = "$redaction"
    return EventCacheEntry(event=event, redacted_event=redacted)
