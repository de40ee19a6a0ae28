"""A standby of the cluster's PostgreSQL, which takes its place."""

from __future__ import annotations

import contextlib
import signal

from .cluster import Cluster
from .forwarded_port import ForwardedPort
from .postgres import standby
from .processes import free_port


class Standby:
    """Follows the primary from its creation until it is stopped."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._port = free_port()
        self._process = standby(cluster.folder, cluster.postgres_port, self._port)
        # The first is stopped last.
        cluster.processes = {"standby": self._process, **cluster.processes}
        self._process.start()

    def stop(self) -> None:
        self._process.stop(signal.SIGINT)

    def has_redaction_of(self, event_id: str) -> bool:
        connection = self._cluster.database_at(self._port)
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM redactions WHERE redacts = %s", (event_id,))
            return cursor.fetchone() is not None

    def take_over(self) -> None:
        """The primary dies; this one is promoted, and is reached by the primary's port."""
        self._cluster.processes["postgres"].stop(signal.SIGQUIT)
        self._process.start()
        with contextlib.closing(self._cluster.database_at(self._port)) as connection:
            connection.autocommit = True
            connection.cursor().execute("SELECT pg_promote()")
        self._cluster.ends.append(ForwardedPort(self._port, port=self._cluster.postgres_port).close)
