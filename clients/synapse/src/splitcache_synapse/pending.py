"""What one transaction changes, until it has been announced."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from google.protobuf.message import Message

from splitcache_synapse.gen import event_cache_service_pb2 as pb

# Limit of the contract: IDs a request.
IDS_MAX = 500

Announcement = tuple[str, str, Message]


class Pending:
    """Filled inside the transaction, in whatever thread it runs."""

    def __init__(self, *, announces: bool) -> None:
        # False: it began while the writer was detached.
        self.announces = announces
        # When COMMIT was about to be sent first, and when it was answered; None before.
        self.committing_at: float | None = None
        self.committed_at: float | None = None
        self._lock = threading.Lock()
        self._event_ids: dict[str, dict[str, None]] = {}
        self._rooms: dict[str, None] = {}
        self._homeserver = False

    def add_events(self, room_id: str, event_ids: Iterable[str]) -> None:
        """These events change; room_id is empty where it is not known."""
        with self._lock:
            self._event_ids.setdefault(room_id, {}).update(dict.fromkeys(event_ids))

    def add_room(self, room_id: str) -> None:
        """Anything of the room may change."""
        with self._lock:
            self._rooms[room_id] = None

    def add_homeserver(self) -> None:
        """Anything may change."""
        with self._lock:
            self._homeserver = True

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


def purge_homeserver(homeserver: str) -> Announcement:
    request = pb.PurgeHomeserverRequest(homeserver=homeserver)
    return ("homeserver", "PurgeHomeserver", request)
