"""What PostgreSQL itself counts: statements that read Synapse's stored events, and their rows."""

from __future__ import annotations

from typing import Any, NamedTuple

from .cluster import Cluster

_COUNTED = """
    SELECT coalesce(sum(calls), 0), coalesce(sum(rows), 0) FROM pg_stat_statements
    WHERE query ILIKE '%%join event_json%%' AND query NOT ILIKE '%%pg_stat_statements%%'
"""


class Statements(NamedTuple):
    """Statements that join `event_json`, and the rows that they returned."""

    calls: int
    rows: int


def of_event_json(cluster: Cluster) -> Statements:
    with cluster.database() as connection, connection.cursor() as cursor:
        cursor.execute(_COUNTED)
        calls, rows = cursor.fetchone()
    connection.close()
    return Statements(int(calls), int(rows))


def start_counting(cluster: Cluster) -> None:
    connection: Any = cluster.database()
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    connection.close()
