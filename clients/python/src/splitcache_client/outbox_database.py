"""The writers' database, as far as it holds the outbox: its tables, and connections to it."""

from __future__ import annotations

import logging
import secrets
import sqlite3
import time
from collections.abc import Callable
from typing import Any

from splitcache_client.pending import Pending

logger = logging.getLogger(__name__)

# Counts up when the tables change. A client refuses tables that are newer than it is.
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


class OutboxError(Exception):
    """The tables of the outbox cannot be used. Says why."""


class OutboxDatabase:
    """Opens connections by DB-API 2.0. For any thread."""

    def __init__(
        self, connect: Callable[[], Any], *, is_postgres: bool, paramstyle: str = "qmark"
    ) -> None:
        """`connect` opens a connection to the primary; on PostgreSQL each session is set to READ
        COMMITTED. `paramstyle` is that of the driver: qmark, format or pyformat."""
        if paramstyle not in ("qmark", "format", "pyformat"):
            raise ValueError(f"paramstyle must be qmark, format or pyformat, not {paramstyle}")
        self._connect = connect
        self.is_postgres = is_postgres
        self._mark = "?" if paramstyle == "qmark" else "%s"

    @classmethod
    def sqlite(cls, path: str) -> OutboxDatabase:
        """A file, since the outbox needs a connection of its own."""
        if not path or path == ":memory:":
            raise ValueError("path must be a file: a second connection cannot open :memory:")
        timeout_s = STATEMENT_TIMEOUT_MS / 1000
        return cls(lambda: sqlite3.connect(path, timeout=timeout_s), is_postgres=False)

    @classmethod
    def postgres(cls, connect: Callable[[], Any]) -> OutboxDatabase:
        """`connect` is that of psycopg2 or psycopg, to the primary, without autocommit."""
        return cls(connect, is_postgres=True, paramstyle="pyformat")

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
            except OutboxError:
                raise
            except Exception as error:
                # IF NOT EXISTS does not keep two that create from colliding.
                if attempt == _CREATE_ATTEMPTS - 1:
                    text = f"the tables of the outbox cannot be created: {error}"
                    raise OutboxError(text) from error
                time.sleep(0.1 * (attempt + 1))
            finally:
                connection.close()

    def forget_state(self, cursor: Any) -> bool:
        """Has the next process that polls purge everything: changes may not have been announced.
        Whether a process has polled since the state was forgotten before. Without the tables no
        process polls."""
        cursor.execute(
            "SELECT to_regclass('splitcache_state') IS NOT NULL"
            if self.is_postgres
            else "SELECT count(*) FROM sqlite_master WHERE name = 'splitcache_state'"
        )
        ((is_there,),) = cursor.fetchall()
        if not is_there:
            return False
        cursor.execute("UPDATE splitcache_state SET generation = '' WHERE generation <> ''")
        return bool(cursor.rowcount == 1)

    def connect(self) -> Any:
        connection = self._connect()
        if self.is_postgres:
            try:
                # Deletions of several processes at once conflict under REPEATABLE READ.
                connection.cursor().execute(
                    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED"
                )
                connection.commit()
            except Exception:
                connection.close()
                raise
        return connection

    def cursor(self, connection: Any) -> Any:
        """For one transaction, in which the server gives up a statement that takes too long."""
        cursor = connection.cursor()
        if self.is_postgres:
            cursor.execute(f"SET LOCAL statement_timeout = {STATEMENT_TIMEOUT_MS}")
        return cursor

    def sql(self, statement: str) -> str:
        """With the placeholders of this database."""
        return statement.replace("?", self._mark)

    def insert(self, cursor: Any, pending: Pending) -> None:
        """Adds the row of the caller's transaction to it, just before COMMIT."""
        insert(cursor, pending, self.sql(INSERT))

    def generation(self) -> str:
        """Of the database that a new connection reaches."""
        connection = self.connect()
        try:
            cursor = self.cursor(connection)
            cursor.execute(f"SELECT {self.generation_sql}")
            return str(cursor.fetchone()[0])
        finally:
            connection.close()

    def _create_tables(self, connection: Any) -> None:
        cursor = connection.cursor()
        if not self._exist(cursor):
            for statement in _TABLES:
                cursor.execute(statement)
        cursor.execute("SELECT version FROM splitcache_state")
        (version,) = cursor.fetchone()
        if version > SCHEMA_VERSION:
            raise OutboxError(
                f"the tables of the outbox have version {version}; this client knows "
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


INSERT = "INSERT INTO splitcache_outbox (id, announcement) VALUES (?, ?)"


def insert(cursor: Any, pending: Pending, statement: str = INSERT) -> None:
    """Adds the row of a transaction to it, just before COMMIT. May be called again, for each
    attempt: an earlier one, whose outcome is not known, may have left its row (O1)."""
    pending.row_id = secrets.token_hex(16)
    try:
        cursor.execute(statement, (pending.row_id, pending.text()))
    except Exception as error:
        logger.error(
            "splitcache: a transaction fails, since what it owes cannot be noted in the table "
            "splitcache_outbox: %s",
            error,
        )
        raise
