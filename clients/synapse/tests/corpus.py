"""Real events, read as Synapse reads them from its database."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attr
from synapse.api.room_versions import KNOWN_ROOM_VERSIONS
from synapse.events import make_event_from_dict
from synapse.storage.databases.main.events_worker import (
    EventCacheEntry,
    EventsWorkerStore,
    _EventRow,
)
from twisted.internet import defer

# Where Synapse writes when it received an event: at the event's top level before release 1.153, and
# into `unsigned` since.
AGE_AT_TOP, AGE_IN_UNSIGNED = "before 1.153", "since 1.153"

DEMO = Path(__file__).resolve().parents[3] / "demo" / "events.jsonl.gz"


def recorded_rows(path: Path = DEMO) -> Iterator[tuple[str, _EventRow]]:
    """Every event of a recording with its room version, as a row of the database."""
    seen: set[str] = set()
    with gzip.open(path, "rt") as lines:
        for line in lines:
            one = json.loads(line)
            if one["event_id"] in seen:
                continue
            seen.add(one["event_id"])
            yield one["room_version"], row(one["room_version"], **one)


def row(version: str, **one: Any) -> _EventRow:
    redacted_by = one.get("redacted_by")
    return _EventRow(
        event_id=one["event_id"],
        stream_ordering=one.get("stream_ordering", 7),
        instance_name=one.get("instance_name", "master"),
        json=one["json"],
        internal_metadata=one.get("internal_metadata", "{}"),
        format_version=KNOWN_ROOM_VERSIONS[version].event_format,
        room_version_id=version,
        rejected_reason=one.get("rejected_reason"),
        unconfirmed_redactions=[],
        confirmed_redactions=[redacted_by] if redacted_by else [],
        outlier=one.get("outlier", False),
    )


def made_row(version: str, kind: str, content: dict[str, Any], **more: Any) -> _EventRow:
    """An event that no recording has, of any room version."""
    room_version = KNOWN_ROOM_VERSIONS[version]
    event = {
        "type": kind,
        "sender": "@alice:alpha.example",
        "room_id": "!room:alpha.example",
        "content": content,
        "depth": 3,
        "origin_server_ts": 1_700_000_000_000,
        "prev_events": [],
        "auth_events": [],
        "hashes": {"sha256": "AAAA"},
        "signatures": {"alpha.example": {"ed25519:a": "c2lnbmF0dXJl"}},
        "unsigned": {"age_ts": 12, "replaces_state": "$before:alpha.example"},
        **more,
    }
    if room_version.event_format == 1:
        event["event_id"] = "$made:alpha.example"
    if room_version.msc4291_room_ids_as_hashes and kind == "m.room.create":
        del event["room_id"]
    event_id = make_event_from_dict(event, room_version).event_id
    return row(version, event_id=event_id, json=json.dumps(event))


def as_received(one: _EventRow, release: str, at: int) -> _EventRow:
    """The event as another homeserver has it, which received it at that time."""
    event = json.loads(one.json)
    event.pop("age_ts", None)
    if release == AGE_AT_TOP:
        event |= {"unsigned": {}, "age_ts": at}
    else:
        event["unsigned"] = {"age_ts": at}
    return attr.evolve(
        one,
        json=json.dumps(event),
        internal_metadata="{}",
        instance_name="persister1",
        stream_ordering=one.stream_ordering + 1_000_000,
    )


def read_from_database(*rows: _EventRow) -> dict[str, EventCacheEntry]:
    """Runs Synapse's own code on the rows; what it cannot parse is left out, as there."""
    by_id = {one.event_id: one for one in rows}

    async def enqueue(event_ids: Any) -> dict[str, _EventRow]:
        return {event_id: by_id[event_id] for event_id in event_ids if event_id in by_id}

    async def keep(key: Any, entry: Any) -> None:
        pass

    async def yield_once(duration: Any) -> None:
        pass

    store = SimpleNamespace(
        _enqueue_events=enqueue,
        _maybe_redact_event_row=lambda *args: EventsWorkerStore._maybe_redact_event_row(
            None,  # type: ignore[arg-type]
            *args,
        ),
        _get_event_cache=SimpleNamespace(set=keep),
        _event_ref={},
        clock=SimpleNamespace(sleep=yield_once),
    )
    read = EventsWorkerStore._get_events_from_db(store, list(by_id))  # type: ignore[arg-type]
    entries: list[dict[str, EventCacheEntry]] = []
    defer.ensureDeferred(read).addCallback(entries.append)
    return entries[0]
