"""What the database says of a room's events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .cluster import Cluster

_EVENTS = """
    SELECT e.event_id, ej.json, e.type, e.outlier, x.reason,
      ARRAY(SELECT r.event_id FROM redactions r WHERE r.redacts = e.event_id),
      ARRAY(
        SELECT b.redacting_event_id FROM room_ban_redactions b
        WHERE b.room_id = e.room_id AND b.user_id = e.sender
          AND (b.redact_end_ordering IS NULL OR e.stream_ordering < b.redact_end_ordering)
          AND e.type <> 'm.room.create'
      )
    FROM events e JOIN event_json ej USING (event_id) LEFT JOIN rejections x USING (event_id)
    WHERE e.room_id = %s
"""


@dataclass(frozen=True)
class Stored:
    """An event as it is stored."""

    event: dict[str, Any]
    kind: str
    outlier: bool
    rejected_reason: str | None
    redacted_by: frozenset[str]

    @property
    def content(self) -> Any:
        """What a client must see of a message."""
        return {} if self.redacted_by else self.event["content"]


class Truth:
    """Reads the database in transactions of their own."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def room(self, room_id: str) -> dict[str, Stored]:
        with self._cursor() as cursor:
            cursor.execute(_EVENTS, (room_id,))
            return {
                row[0]: Stored(
                    json.loads(row[1]), row[2], row[3], row[4], frozenset(row[5] + row[6])
                )
                for row in cursor
            }

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        connection = self._cluster.database()
        try:
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()
