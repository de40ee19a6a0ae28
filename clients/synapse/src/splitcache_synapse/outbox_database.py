"""The homeserver's database, as far as it holds the outbox: its tables, and connections to it."""

from __future__ import annotations

import logging
import secrets
import sqlite3
import time
from typing import Any

from synapse.config._base import ConfigError
from synapse.storage.engines import PostgresEngine

from splitcache_synapse.pending import Pending

logger = logging.getLogger(__name__)

# Counts up when the tables change. A module refuses tables that are newer than it is.
SCHEMA_VERSION = 1
# A database that does not answer for so long is given up, and connected to anew.
STATEMENT_TIMEOUT_MS = 5_000
_CREATE_ATTEMPTS = 5

# As in docs/announcing.md: clients of other kinds may share them.
_TABLES = (
    "CREATE TABLE IF NOT EXISTS splitcache_outbox"
    " (id TEXT PRIMARY KEY, announcement TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS splitcache_state"
    " (singleton INTEGER PRIMARY KEY CHECK (singleton = 1), version INTEGER NOT NULL,"
    " epoch TEXT NOT NULL, generation TEXT NOT NULL,"
    " counter BIGINT NOT NULL, heard BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS splitcache_superseded_epochs"
    " (epoch TEXT PRIMARY KEY, superseded_at BIGINT NOT NULL)",
    "INSERT INTO splitcache_state (singleton, version, epoch, generation, counter, heard)"
    f" VALUES (1, {SCHEMA_VERSION}, '', '', 0, 0) ON CONFLICT DO NOTHING",
)

# An ordinary role may ask for it; it changes at a promotion, a restore to a point in time and a
# copy into another server. It fails on a standby, which must not be polled.
_POSTGRES_GENERATION = (
    "(SELECT system_identifier FROM pg_control_system())"
    " || '/' || left(pg_walfile_name(pg_current_wal_lsn()), 8)"
)


class OutboxDatabase:
    """Describes the database, and opens connections to it."""

    def __init__(self, engine: Any, database_config: Any) -> None:
        self._engine = engine
        self._arguments: dict[str, Any] = {
            name: value
            for name, value in database_config.config.get("args", {}).items()
            if not name.startswith("cp_")
        }
        self.is_postgres = isinstance(engine, PostgresEngine)
        if not self.is_postgres and self._arguments.get("database") in (None, ":memory:"):
            raise ConfigError("splitcache: database: SQLite must keep it in a file")

    @property
    def generation_sql(self) -> str:
        return _POSTGRES_GENERATION if self.is_postgres else "'sqlite'"

    def create_tables(self) -> None:
        """Creates what is missing. Several processes may do so at once."""
        for attempt in range(_CREATE_ATTEMPTS):
            connection = self.connect()
            try:
                self._create_tables(connection)
                return
            except self._engine.module.Error as error:
                # IF NOT EXISTS does not keep two that create from colliding.
                if attempt == _CREATE_ATTEMPTS - 1:
                    raise ConfigError(
                        f"splitcache: the tables of the outbox cannot be created: {error}"
                    ) from error
                time.sleep(0.1 * (attempt + 1))
            finally:
                connection.close()

    def forget_state(self) -> None:
        """Has the next process that polls purge everything: from now on changes may not be
        announced."""
        connection = self.connect()
        try:
            cursor = connection.cursor()
            cursor.execute("UPDATE splitcache_state SET generation = ''")
            connection.commit()
        finally:
            connection.close()

    def connect(self) -> Any:
        if not self.is_postgres:
            return sqlite3.connect(self._arguments["database"], timeout=STATEMENT_TIMEOUT_MS / 1000)
        # TCP alone would wait for a quarter of an hour for a server that vanished.
        patience = {
            "connect_timeout": 5,
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": 10_000,
        }
        connection = self._engine.module.connect(**{**patience, **self._arguments})
        # Deletions of several processes at once conflict under REPEATABLE READ.
        connection.set_session(isolation_level="READ COMMITTED")
        return connection

    def sql(self, statement: str) -> str:
        """With the placeholders of this database."""
        return str(self._engine.convert_param_style(statement))

    def _create_tables(self, connection: Any) -> None:
        cursor = connection.cursor()
        if not self._exist(cursor):
            for statement in _TABLES:
                cursor.execute(statement)
        cursor.execute("SELECT version FROM splitcache_state")
        (version,) = cursor.fetchone()
        if version > SCHEMA_VERSION:
            raise ConfigError(
                f"splitcache: the tables of the outbox have version {version}; this module knows "
                f"{SCHEMA_VERSION}: install the release that created them, or a later one"
            )
        connection.commit()

    def _exist(self, cursor: Any) -> bool:
        """Asked first, since a role that may not create tables may use those that are there."""
        if not self.is_postgres:
            return False
        cursor.execute(
            "SELECT to_regclass('splitcache_superseded_epochs') IS NOT NULL"
            " AND to_regclass('splitcache_state') IS NOT NULL"
        )
        if not cursor.fetchone()[0]:
            return False
        cursor.execute("SELECT count(*) FROM splitcache_state")
        return bool(cursor.fetchone()[0] == 1)


def insert(txn: Any, pending: Pending) -> None:
    """Adds the row of a transaction of Synapse to it, just before COMMIT. May be called again,
    for each attempt: an earlier one, whose outcome is not known, may have left its row (O1)."""
    pending.row_id = secrets.token_hex(16)
    try:
        txn.execute(
            "INSERT INTO splitcache_outbox (id, announcement) VALUES (?, ?)",
            (pending.row_id, pending.text()),
        )
    except Exception as error:
        logger.error(
            "splitcache: a transaction fails, since what it owes cannot be noted in the table "
            "splitcache_outbox: %s",
            error,
        )
        raise
