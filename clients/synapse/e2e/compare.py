"""Compares what the homeserver and the sidecar say of events with what the database says."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from typing import Any

from splitcache_client.gen import event_cache_service_pb2 as pb
from splitcache_synapse.stored_event import own_facts

from .client import HttpError, User
from .cluster import Cluster
from .sidecar_reader import SidecarReader
from .truth import Stored, Truth

READERS = ("main", "generic1", "generic2")
_MESSAGE = "m.room.message"
# How long Synapse's processes may take to hear of a change from one another, in seconds. What the
# sidecar wrongly serves stays in their memory, and differs for longer.
REPLICATION_S = 2.0
# After so many differences nobody waits any longer.
_PATIENCE_MAX = 5


class Comparison:
    """Counts what it compared, and keeps what differed.

    The database is read before and after each read: a change in between excuses a difference.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._truth = Truth(cluster)
        self._sidecar = SidecarReader(cluster.socket)
        # By kind of read.
        self.compared: dict[str, int] = {}
        self.differences: list[str] = []

    def room(
        self,
        user: User,
        room_id: str,
        event_ids: list[str],
        processes: Iterable[str] = READERS,
        *,
        fault_s: float = 0.0,
    ) -> None:
        """What the processes say of the room, then all that the sidecar holds of it."""
        self.processes(user, room_id, event_ids, processes, fault_s=fault_s)
        self._patiently(fault_s, self._sidecar_room, room_id, event_ids)

    def processes(
        self,
        user: User,
        room_id: str,
        event_ids: list[str],
        processes: Iterable[str] = READERS,
        *,
        fault_s: float = 0.0,
        at_once: bool = False,
    ) -> None:
        """Every event by its ID, the room's timeline and the sync's, through each process.

        `fault_s`: for how long something that goes on now may keep a change from them. `at_once`:
        they are granted no time at all.
        """
        patience_s = 0.0 if at_once else REPLICATION_S + fault_s
        for name in processes:
            port = self._cluster.ports[name]
            for event_id in event_ids:
                self._patiently(patience_s, self._event, user, name, port, room_id, event_id)
            self._patiently(patience_s, self._timeline, user, name, port, room_id)
            self._patiently(patience_s, self._sync, user, name, port, room_id)

    def sidecar(
        self, room_id: str, event_ids: Iterable[str] = (), *, within_s: float = 0.0
    ) -> None:
        """All that the sidecar holds of the room and of these events."""
        self._patiently(within_s, self._sidecar_room, room_id, event_ids)

    def sidecar_holds(self, event_ids: list[str], *, any_of_them: bool = False) -> bool:
        """Whether it would serve all of these events, or any of them."""
        held = len(self._sidecar.hits(self._cluster.own.name, event_ids))
        return held > 0 if any_of_them else held == len(event_ids)

    def empty_sidecar(self) -> None:
        self._sidecar.empty(self._cluster.own.name)

    def redactions(self, room_id: str) -> frozenset[str]:
        """The events of the room that are redacted."""
        return frozenset(
            key for key, value in self._truth.room(room_id).items() if value.redacted_by
        )

    def stored(self, room_id: str) -> frozenset[str]:
        """The events of the room that are stored."""
        return frozenset(self._truth.room(room_id))

    def _patiently(self, patience_s: float, read: Callable[..., list[str]], *of: Any) -> None:
        if len(self.differences) > _PATIENCE_MAX:
            patience_s = 0
        deadline = time.monotonic() + patience_s
        while (found := read(*of)) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.differences += found

    def _sidecar_room(self, room_id: str, event_ids: Iterable[str]) -> list[str]:
        before = self._truth.room(room_id)
        ids = sorted(before.keys() | set(event_ids))
        hits: dict[str, pb.CachedEvent] = {}
        for start in range(0, len(ids), 500):
            hits |= self._sidecar.hits(self._cluster.own.name, ids[start : start + 500])
        after = self._truth.room(room_id)
        self._count("sidecar", len(hits))
        differences = []
        for event_id, cached in hits.items():
            found = [_differs(cached, stored.get(event_id)) for stored in (before, after)]
            if all(found):
                differences.append(f"the sidecar's {event_id}: {found[1]}")
        return differences

    def _event(self, user: User, name: str, port: int, room_id: str, event_id: str) -> list[str]:
        before = self._truth.room(room_id).get(event_id)
        try:
            said = user.event(port, room_id, event_id)["content"]
        except HttpError as error:
            if error.code != 404:
                raise
            said = None
        after = self._truth.room(room_id).get(event_id)
        self._count("/event")
        if any(said == (stored.content if stored else None) for stored in (before, after)):
            return []
        return [
            f"{name} says {said!r} of {event_id}, the database {after.content if after else None!r}"
        ]

    def _timeline(self, user: User, name: str, port: int, room_id: str) -> list[str]:
        before = self._truth.room(room_id)
        try:
            events = user.messages(port, room_id)
        except HttpError as error:
            # The room was purged.
            if error.code not in (403, 404):
                raise
            return []
        return self._listed(f"{name} /messages", "/messages", events, before, room_id)

    def _sync(self, user: User, name: str, port: int, room_id: str) -> list[str]:
        before = self._truth.room(room_id)
        joined = user.sync(port, room_id).get("rooms", {}).get("join", {})
        events = joined.get(room_id, {}).get("timeline", {}).get("events", [])
        return self._listed(f"{name} /sync", "/sync", events, before, room_id)

    def _listed(
        self, who: str, kind: str, events: list[Any], before: dict[str, Stored], room_id: str
    ) -> list[str]:
        after = self._truth.room(room_id)
        differences = []
        for event in events:
            if event["type"] != _MESSAGE:
                continue
            self._count(kind)
            event_id, content = event["event_id"], event["content"]
            known = [stored[event_id] for stored in (before, after) if event_id in stored]
            stored = [one.content for one in known]
            if content not in stored:
                differences.append(f"{who} lists {content!r} of {event_id}, stored: {stored}")
        return differences

    def _count(self, kind: str, number: int = 1) -> None:
        self.compared[kind] = self.compared.get(kind, 0) + number


def _differs(cached: pb.CachedEvent, stored: Stored | None) -> str:
    """In what a sidecar's entry is not what the database says; empty if in nothing."""
    if stored is None:
        return "is not stored"
    own = own_facts(cached.internal_metadata)
    if own is None:
        return "is of another version"
    event = {**json.loads(cached.body), **({"age_ts": own.age_ts[0]} if own.age_ts else {})}
    expected = {key: value for key, value in stored.event.items() if key != "unsigned"}
    if event != expected:
        return f"has another body: {event} is not {expected}"
    if cached.HasField("redaction") != bool(stored.redacted_by):
        return f"redacted: {cached.HasField('redaction')}, stored: {sorted(stored.redacted_by)}"
    if stored.redacted_by and cached.redaction.redacted_by not in stored.redacted_by:
        return f"redacted by {cached.redaction.redacted_by}, not {sorted(stored.redacted_by)}"
    if cached.rejected != (stored.rejected_reason is not None):
        return f"rejected: {cached.rejected}, stored: {stored.rejected_reason}"
    if own.outlier != stored.outlier:
        return f"outlier: {own.outlier}, stored: {stored.outlier}"
    return ""
