"""The outbox in the homeserver's database: its tables, and the statements on them.

Here the database is one SQLite file. With PostgreSQL the statements are the same, in READ
COMMITTED, but for the generation: see docs/announcing.md.
"""

from __future__ import annotations

import secrets
import sqlite3
from contextlib import contextmanager

from gate import ROWS_MAX, Poll, clock

VERSION = 1
BUSY_TIMEOUT_S = 1.0
_TABLES = f"""
CREATE TABLE IF NOT EXISTS splitcache_outbox (id TEXT PRIMARY KEY, announcement TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS splitcache_state (
    singleton INTEGER PRIMARY KEY CHECK (singleton = 1), version INTEGER NOT NULL,
    epoch TEXT NOT NULL, generation TEXT NOT NULL,
    counter BIGINT NOT NULL, heard BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS splitcache_superseded_epochs (
    epoch TEXT PRIMARY KEY, superseded_at BIGINT NOT NULL);
INSERT INTO splitcache_state VALUES (1, {VERSION}, '', '', 0, 0) ON CONFLICT DO NOTHING;
"""


def connect(path: str) -> sqlite3.Connection:
    """A connection is for one thread. It begins no transaction by itself."""
    return sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)


def create_tables(connection: sqlite3.Connection) -> None:
    """Before the first change."""
    # So that a writer does not block a poll.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(_TABLES)
    (version,) = connection.execute("SELECT version FROM splitcache_state").fetchone()
    if version != VERSION:
        raise RuntimeError(f"the outbox has version {version}, this program knows {VERSION}")


@contextmanager
def transaction(connection: sqlite3.Connection):
    # With the lock of writers, so that it cannot fail halfway for want of it.
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def insert(connection: sqlite3.Connection, announcement: str) -> str:
    """Adds a row to the transaction that changes events. Each attempt has a new random ID."""
    row = secrets.token_hex(16)
    connection.execute("INSERT INTO splitcache_outbox VALUES (?, ?)", (row, announcement))
    return row


class OutboxTable:
    """Follows the outbox on a connection of its own."""

    def __init__(self, path: str) -> None:
        self._connection = connect(path)

    def poll(self) -> Poll:
        sent_at = clock()
        # In this order: a row that is gone because it was announced in another epoch is not shown,
        # so the epoch that is read after it must be that one.
        rows = self._connection.execute(
            f"SELECT id FROM splitcache_outbox LIMIT {ROWS_MAX + 1}"
        ).fetchall()
        state = self._connection.execute(
            "SELECT epoch, 'sqlite', generation, counter, heard FROM splitcache_state"
        ).fetchone()
        return Poll(sent_at, [row for (row,) in rows], *state)

    def announcement(self, row: str) -> str | None:
        """What a row owes; None if it is gone."""
        found = self._connection.execute(
            "SELECT announcement FROM splitcache_outbox WHERE id = ?", (row,)
        ).fetchone()
        return found and found[0]

    def delete(self, rows: list[str], epoch: str) -> bool:
        """Deletes announced rows if the epoch of their OK is registered. Returns whether it is."""
        with transaction(self._connection):
            if self._epoch() != epoch:
                return False
            self._connection.executemany(
                "DELETE FROM splitcache_outbox WHERE id = ?", [(row,) for row in rows]
            )
            return True

    def register(self, epoch: str, replaced: Poll) -> bool:
        """Registers an epoch in place of the one that this poll showed, unless it was superseded
        before. Records the generation of the database with it."""
        with transaction(self._connection):
            changed = self._connection.execute(
                "UPDATE splitcache_state SET epoch = ?, generation = ? WHERE epoch = ?"
                " AND NOT EXISTS (SELECT 1 FROM splitcache_superseded_epochs WHERE epoch = ?)",
                (epoch, replaced.generation, replaced.epoch, epoch),
            ).rowcount
            if changed == 1 and replaced.epoch != "":
                self._connection.execute(
                    "INSERT INTO splitcache_superseded_epochs"
                    " SELECT ?, coalesce(max(superseded_at), 0) + 1"
                    " FROM splitcache_superseded_epochs",
                    (replaced.epoch,),
                )
            return changed == 1

    def raise_counters(self, counter: bool, heard: bool, epoch: str) -> None:
        if counter or heard:
            self._connection.execute(
                "UPDATE splitcache_state SET counter = counter + ?, heard = heard + ?"
                " WHERE epoch = ?",
                (counter, heard, epoch),
            )

    def _epoch(self) -> str:
        return self._connection.execute("SELECT epoch FROM splitcache_state").fetchone()[0]
