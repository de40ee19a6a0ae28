"""A process that changes events and announces nothing: the module is disabled in it, or does not
support its Synapse."""

from __future__ import annotations

import logging
import threading
from typing import Any

from splitcache_client.seldom import SeldomLog
from splitcache_synapse.outbox_database import OutboxDatabase

logger = logging.getLogger(__name__)

# Sooner than the bound that processes with the module promise.
INTERVAL_S = 1.0
# Connecting takes 5 s at most, and so does a statement.
STOP_TIMEOUT_S = 12.0


def stand_by(hs: Any) -> None:
    """Has everything purged once by the process that polls next, and again for as long as others
    poll. Creates no tables.

    Raises what the database raises if it cannot be reached now.
    """
    pool = hs.get_datastores().main.db_pool
    database = OutboxDatabase(pool.engine, pool._database_config)
    # SQLite has one process: this one.
    if database.is_postgres:
        bystander = Bystander(database)
        # Not before the reactor runs: Synapse forks when it is a daemon.
        hs.get_reactor().callWhenRunning(bystander.start)
        # As late as possible: Synapse writes until its connections are closed, "during" it.
        hs.register_sync_shutdown_handler(
            phase="after", eventType="shutdown", shutdown_func=bystander.stop
        )
    # Before this process changes anything.
    connection = database.connect()
    try:
        database.forget_state(database.cursor(connection))
        connection.commit()
    finally:
        connection.close()


class Bystander:
    """Keeps what other processes read from the cache within their bound, as in an upgrade in which
    some have the module and others do not: each second everything counts as changed, whether others
    poll or not. If the tables are not there yet, it waits for them."""

    def __init__(self, database: OutboxDatabase) -> None:
        self._database = database
        self._connection: Any = None
        self._thread: threading.Thread | None = None
        self._is_stopped = threading.Event()
        self._is_unavailable = False
        self._purged = SeldomLog(logger)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="splitcache-bystander", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Returns when the last changes of this process count, or the database does not answer."""
        self._is_stopped.set()
        if self._thread is not None:
            self._thread.join(STOP_TIMEOUT_S)

    def _run(self) -> None:
        while not self._is_stopped.wait(INTERVAL_S):
            self.turn()
        # For what this process has changed since the last time.
        self.turn()
        self._disconnect()

    def turn(self) -> None:
        """Does it once. Never raises."""
        try:
            if self._connection is None:
                self._connection = self._database.connect()
            others_poll = self._database.forget_state(self._database.cursor(self._connection))
            self._connection.commit()
        except Exception as error:
            if not self._is_unavailable:
                logger.warning("splitcache: the outbox cannot be written: %s", error)
            self._is_unavailable = True
            self._disconnect()
            return
        if self._is_unavailable:
            logger.info("splitcache: the outbox can be written again")
        self._is_unavailable = False
        if others_poll:
            self._purged.log(
                logging.ERROR,
                "splitcache: other processes of this homeserver use the cache, and this one "
                "announces nothing: everything is purged every second. Restart them all alike",
            )

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        try:
            if connection is not None:
                connection.close()
        except Exception:
            logger.debug("the connection could not be closed", exc_info=True)
