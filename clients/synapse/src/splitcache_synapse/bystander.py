"""A process that changes events and announces nothing: the module is switched off in it, or does
not support its Synapse."""

from __future__ import annotations

import logging
import threading
from typing import Any

from splitcache_synapse.outbox_database import OutboxDatabase

logger = logging.getLogger(__name__)

# Sooner than the bound that processes with the module promise.
INTERVAL_S = 1.0


def stand_by(hs: Any) -> None:
    """Has the next process that polls purge everything, and again for as long as others poll.

    Raises ConfigError if the tables of the outbox are not there and cannot be created.
    """
    pool = hs.get_datastores().main.db_pool
    database = OutboxDatabase(pool.engine, pool._database_config)
    database.create_tables()
    database.forget_state()
    # SQLite has one process: this one.
    if database.is_postgres:
        bystander = Bystander(database)
        # Not before the reactor runs: Synapse forks when it is a daemon.
        hs.get_reactor().callWhenRunning(bystander.start)
        hs.register_sync_shutdown_handler(
            phase="before", eventType="shutdown", shutdown_func=bystander.stop
        )


class Bystander:
    """Keeps what other processes read from the cache within their bound, as in an upgrade in which
    some have the module and others do not: each second in which another one has polled, everything
    counts as changed."""

    def __init__(self, database: OutboxDatabase) -> None:
        self._database = database
        self._connection: Any = None
        # What pollers have raised when it was last seen.
        self._counter: int | None = None
        self._is_stopped = threading.Event()
        self._said = False

    def start(self) -> None:
        threading.Thread(target=self._run, name="splitcache-bystander", daemon=True).start()

    def stop(self) -> None:
        self._is_stopped.set()

    def _run(self) -> None:
        while not self._is_stopped.wait(INTERVAL_S):
            self.turn()
        self._disconnect()

    def turn(self) -> None:
        """Looks once. Never raises."""
        try:
            if self._connection is None:
                self._connection = self._database.connect()
            self._look(self._connection.cursor())
            self._connection.commit()
        except Exception as error:
            logger.warning("splitcache: the outbox cannot be read: %s", error)
            self._disconnect()

    def _look(self, cursor: Any) -> None:
        cursor.execute("SELECT counter FROM splitcache_state")
        (counter,) = cursor.fetchone()
        if self._counter is not None and counter != self._counter:
            cursor.execute("UPDATE splitcache_state SET generation = ''")
            if not self._said:
                self._said = True
                logger.error(
                    "splitcache: other processes of this homeserver use the cache, and this one "
                    "announces nothing: everything is purged every second. Restart them all alike"
                )
        self._counter = counter

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        try:
            if connection is not None:
                connection.close()
        except Exception:
            logger.debug("the connection could not be closed", exc_info=True)
