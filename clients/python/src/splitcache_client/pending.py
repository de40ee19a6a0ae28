"""What one transaction changes, until it has been announced."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from typing import Any

from google.protobuf.message import Message

from splitcache_client.drop import Drop
from splitcache_client.gen import event_cache_service_pb2 as pb

# Limit of the contract: IDs a request.
IDS_MAX = 500
# Beyond so many events of one transaction, a row would be long, and everything is purged.
EVENTS_MAX = 10_000

# The form of a row's text. One of another version is announced as a change of everything.
_VERSION = 1

Announcement = tuple[str, str, Message]


class Pending:
    """Filled inside the transaction, in whatever thread it runs."""

    def __init__(self) -> None:
        # The outbox row of the last attempt of the transaction; None before.
        self.row_id: str | None = None
        # When COMMIT was answered; None before.
        self.committed_at: float | None = None
        self._lock = threading.Lock()
        self._event_ids: dict[str, dict[str, None]] = {}
        self._rooms: dict[str, None] = {}
        self._homeserver = False

    def add_events(self, room_id: str, event_ids: Iterable[str]) -> None:
        """These events change; room_id is empty where it is not known."""
        with self._lock:
            self._event_ids.setdefault(room_id, {}).update(dict.fromkeys(event_ids))
            if sum(map(len, self._event_ids.values())) > EVENTS_MAX:
                self._homeserver = True
                self._event_ids.clear()

    def add_room(self, room_id: str) -> None:
        """Anything of the room may change."""
        with self._lock:
            self._rooms[room_id] = None

    def add_homeserver(self) -> None:
        """Anything may change."""
        with self._lock:
            self._homeserver = True

    def drop_from(self, drop: Drop) -> None:
        """Drops what it changes from a cache of this process."""
        with self._lock:
            if self._homeserver:
                drop.everything()
            for room_id in self._rooms:
                drop.room(room_id)
            for event_ids in self._event_ids.values():
                for event_id in event_ids:
                    drop.event(event_id)

    def text(self) -> str:
        """What the outbox row says, for any process to announce it. ASCII."""
        with self._lock:
            if self._homeserver:
                return json.dumps({"version": _VERSION, "homeserver": True})
            events = {room_id: list(ids) for room_id, ids in self._event_ids.items()}
            return json.dumps({"version": _VERSION, "rooms": list(self._rooms), "events": events})

    def add_text(self, text: str) -> None:
        """Adds what an outbox row says; everything, if it cannot be read. Never raises."""
        try:
            said: Any = json.loads(text)
            if said["version"] != _VERSION or said.get("homeserver"):
                self.add_homeserver()
                return
            for room_id in said["rooms"]:
                self.add_room(room_id)
            for room_id, event_ids in said["events"].items():
                self.add_events(room_id, event_ids)
        except (ValueError, KeyError, TypeError, AttributeError):
            self.add_homeserver()

    def announcements(self, homeserver: str) -> list[Announcement]:
        """The calls that announce it: kind, method and request of each."""
        with self._lock:
            if self._homeserver:
                return [purge_homeserver(homeserver)]
            calls: list[Announcement] = [
                ("room", "PurgeRoom", pb.PurgeRoomRequest(homeserver=homeserver, room_id=room_id))
                for room_id in self._rooms
            ]
            for room_id, of_room in self._event_ids.items():
                if room_id in self._rooms:
                    continue
                event_ids = list(of_room)
                for start in range(0, len(event_ids), IDS_MAX):
                    request = pb.InvalidateEventsRequest(
                        homeserver=homeserver,
                        room_id=room_id,
                        event_ids=event_ids[start : start + IDS_MAX],
                    )
                    calls.append(("events", "InvalidateEvents", request))
            return calls


def purge_homeserver(homeserver: str, *, new_epoch: bool = False) -> Announcement:
    request = pb.PurgeHomeserverRequest(homeserver=homeserver, new_epoch=new_epoch)
    return ("homeserver", "PurgeHomeserver", request)
