"""Compares what a process of the homeserver says of events with what its database says."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from .client import HttpError, User
from .cluster import Cluster

_TRUTH = """
    SELECT ej.event_id, ej.json, r.event_id
    FROM event_json ej
    JOIN events e USING (event_id)
    LEFT JOIN redactions r ON r.redacts = ej.event_id
    WHERE ej.room_id = %s AND e.type = 'm.room.message'
"""


class Comparison:
    """Counts what it compared, and keeps what differed."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.compared = 0
        self.differences: list[str] = []

    def room(
        self,
        user: User,
        room_id: str,
        event_ids: list[str],
        processes: Iterable[str] = ("main", "generic1", "generic2"),
    ) -> None:
        """Every event by its ID, and the room's timeline, through each of the processes.

        The database is read after each reply as well: a change in between excuses a difference.
        """
        for name in processes:
            port = self._cluster.ports[name]
            for event_id in event_ids:
                self._event(user, name, port, room_id, event_id)
            self._timeline(user, name, port, room_id)

    def _event(self, user: User, name: str, port: int, room_id: str, event_id: str) -> None:
        before = self._truth(room_id).get(event_id)
        try:
            said = user.event(port, room_id, event_id)["content"]
        except HttpError as error:
            if error.code != 404:
                raise
            said = None
        self.compared += 1
        if said != before and said != self._truth(room_id).get(event_id):
            self.differences.append(f"{name} says {said!r} of {event_id}, the database {before!r}")

    def _timeline(self, user: User, name: str, port: int, room_id: str) -> None:
        before = self._truth(room_id)
        try:
            messages = user.messages(port, room_id)
        except HttpError as error:
            # The room was purged.
            if error.code not in (403, 404):
                raise
            return
        after = self._truth(room_id)
        for event in messages:
            if event["type"] != "m.room.message":
                continue
            self.compared += 1
            event_id, content = event["event_id"], event["content"]
            if content != before.get(event_id) and content != after.get(event_id):
                self.differences.append(
                    f"{name} lists {content!r} of {event_id}, the database {before.get(event_id)!r}"
                )

    def _truth(self, room_id: str) -> dict[str, Any]:
        """The content that a client must see of each message that is stored."""
        connection = self._cluster.database()
        try:
            with connection.cursor() as cursor:
                cursor.execute(_TRUTH, (room_id,))
                return {
                    event_id: {} if redaction else json.loads(text)["content"]
                    for event_id, text, redaction in cursor
                } | self._ban_redacted(cursor, room_id)
        finally:
            connection.close()

    def _ban_redacted(self, cursor: Any, room_id: str) -> dict[str, Any]:
        cursor.execute(
            "SELECT e.event_id FROM events e JOIN room_ban_redactions b ON b.room_id = e.room_id"
            " AND b.user_id = e.sender WHERE e.room_id = %s AND e.type = 'm.room.message'"
            " AND (b.redact_end_ordering IS NULL OR e.stream_ordering < b.redact_end_ordering)",
            (room_id,),
        )
        return {event_id: {} for (event_id,) in cursor}
