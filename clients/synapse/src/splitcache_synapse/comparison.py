"""What of an event is compared when a read is audited, field by field."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from synapse.storage.databases.main.events_worker import EventCacheEntry

# Set in memory alone, on a redaction that was checked with its target.
_NOT_STORED = frozenset({"recheck_redaction"})
# The names come from events of anybody.
_NAMES_MAX = 20
_NAME_MAX = 64

Fields = Mapping[str, Any]


def fields(entry: EventCacheEntry | None) -> Fields:
    """What readers see of the entry. Taken down at once: Synapse changes events in place. None, the
    event is not stored, has no fields."""
    if entry is None:
        return {}
    event = entry.event
    metadata = event.internal_metadata
    found: dict[str, Any] = {"stored": True}
    found.update(
        (f"internal_metadata.{name}", value)
        for name, value in metadata.get_dict().items()
        if name not in _NOT_STORED
    )
    found["internal_metadata.stream_ordering"] = metadata.stream_ordering
    found["internal_metadata.instance_name"] = metadata.instance_name
    found["internal_metadata.outlier"] = metadata.outlier
    found["room_version"] = event.room_version.identifier
    found["rejected_reason"] = event.rejected_reason
    # Of several redactions the database names any: which one it is, is not compared.
    found["redacted"] = entry.redacted_event is not None
    # Last: no name of an event's own takes the place of one above.
    found.update((f"event.{name}", value) for name, value in _body(event).items())
    if entry.redacted_event is not None:
        redacted = _body(entry.redacted_event)
        found.update((f"redacted_event.{name}", value) for name, value in redacted.items())
    return found


def differing(one: Fields, other: Fields) -> list[str]:
    """The names of the fields in which the two differ, in ASCII, the first twenty."""
    if one.keys() >= {"stored"} and not other:
        return ["stored"]
    missing = object()
    names = sorted(
        name
        for name in one.keys() | other.keys()
        if one.get(name, missing) != other.get(name, missing)
    )
    return [ascii(name[:_NAME_MAX])[1:-1] for name in names[:_NAMES_MAX]]


def _body(event: Any) -> dict[str, str]:
    """As text, which tells 1 from 1.0 and true, and which nobody changes in place."""
    parts: dict[str, Any] = event.get_dict_for_persistence()
    return {name: json.dumps(value, sort_keys=True, default=dict) for name, value in parts.items()}
