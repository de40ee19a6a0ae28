"""The statements by which the outbox is followed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

from splitcache_client.outbox_database import OutboxDatabase
from splitcache_client.outbox_poll import ROWS_MAX, Change, Poll

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

# IDs a statement.
_IDS_MAX = 500
# Superseded epochs that are kept; a sidecar starts one at each restart.
_SUPERSEDED_MAX = 10_000


class OutboxUnavailable(Exception):
    """The database did not answer, or not as it should."""


class OutboxTable:
    """One connection of its own. Each method raises OutboxUnavailable, and then connects anew."""

    def __init__(self, database: OutboxDatabase, monotonic: Callable[[], float]) -> None:
        self._database = database
        self._monotonic = monotonic
        self._connection: Any = None

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def poll(self) -> Poll:
        def polled(cursor: Any) -> Poll:
            # Not earlier: connecting may have taken long.
            sent_at = self._monotonic()
            # In this order, since each statement has a snapshot of its own: a row that is gone
            # because it was announced in another epoch is not shown, so the epoch that is read
            # after it must be that one.
            cursor.execute(f"SELECT id FROM splitcache_outbox LIMIT {ROWS_MAX + 1}")
            rows = tuple(row for (row,) in cursor.fetchall())
            cursor.execute(
                "SELECT epoch, generation, counter, heard, "
                f"{self._database.generation_sql} FROM splitcache_state"
            )
            epoch, recorded, counter, heard, generation = cursor.fetchone()
            return Poll(
                sent_at=sent_at,
                answered_at=self._monotonic(),
                rows=rows,
                epoch=bytes.fromhex(epoch),
                generation=generation,
                recorded_generation=recorded,
                counter=counter,
                heard=heard,
            )

        return self._run(polled)

    def raise_counters(self, counter: bool, heard: bool, epoch: bytes) -> None:
        """While the epoch is the registered one. SQLite has one process, which needs no word of
        others, and no second writer."""
        if not (counter or heard) or not self._database.is_postgres:
            return
        self._run(
            lambda cursor: self._execute(
                cursor,
                "UPDATE splitcache_state SET counter = counter + ?, heard = heard + ?"
                " WHERE epoch = ?",
                (int(counter), int(heard), epoch.hex()),
            )
        )

    def announcements(self, rows: Sequence[str]) -> dict[str, str]:
        """What these rows say, without those that are gone; 500 at most."""

        def said(cursor: Any) -> dict[str, str]:
            self._execute(
                cursor,
                f"SELECT id, announcement FROM splitcache_outbox WHERE id IN ({_marks(rows)})",
                rows,
            )
            return dict(cursor.fetchall())

        return self._run(said)

    def delete(self, rows: Iterable[str], epoch: bytes) -> bool:
        """O9: deletes the rows while the epoch is the registered one. Whether it was: a superseded
        epoch never comes back, so it was if it is before and after."""
        # In one order, or two that delete the same rows could wait for each other.
        every = sorted(rows)
        for start in range(0, len(every), _IDS_MAX):
            chunk = every[start : start + _IDS_MAX]
            if not self._run(partial(self._delete, rows=chunk, epoch=epoch)):
                return False
        return True

    def register(self, epoch: bytes, replaced: bytes) -> bool:
        """O9: registers the epoch if the other one is registered and this one was never replaced.
        False if it was."""

        def registered(cursor: Any) -> bool:
            self._execute(
                cursor,
                "SELECT 1 FROM splitcache_superseded_epochs WHERE epoch = ?",
                (epoch.hex(),),
            )
            if cursor.fetchone() is not None:
                return False
            self._replace(
                cursor,
                replaced,
                "UPDATE splitcache_state SET epoch = ? WHERE epoch = ?",
                (epoch.hex(), replaced.hex()),
            )
            return True

        return self._run(registered)

    def begin_generation(self, change: Change, epoch: bytes) -> bool:
        """O8: registers the epoch that PurgeHomeserver has begun for this change, and records the
        generation, in one statement: nobody may see one without the other. False if the state is
        not what the change was seen in, as when another process was first."""
        return self._run(
            lambda cursor: self._replace(
                cursor,
                change.epoch,
                "UPDATE splitcache_state SET epoch = ?, generation = ?"
                " WHERE epoch = ? AND generation = ? AND NOT EXISTS"
                " (SELECT 1 FROM splitcache_superseded_epochs WHERE epoch = ?)",
                (
                    epoch.hex(),
                    change.generation,
                    change.epoch.hex(),
                    change.recorded_generation,
                    epoch.hex(),
                ),
            )
        )

    def _replace(self, cursor: Any, replaced: bytes, update: str, values: Sequence[Any]) -> bool:
        """Of several that try, the row's lock lets one after another; each that waited finds
        another epoch than it expects, and changes nothing."""
        self._execute(cursor, update, values)
        is_replaced = bool(cursor.rowcount == 1)
        if is_replaced and replaced:
            self._supersede(cursor, replaced)
        return is_replaced

    def _delete(self, cursor: Any, rows: Sequence[str], epoch: bytes) -> bool:
        if not self._is_registered(cursor, epoch):
            return False
        self._execute(
            cursor,
            f"DELETE FROM splitcache_outbox WHERE id IN ({_marks(rows)})"
            " AND EXISTS (SELECT 1 FROM splitcache_state WHERE epoch = ?)",
            (*rows, epoch.hex()),
        )
        return self._is_registered(cursor, epoch)

    def _is_registered(self, cursor: Any, epoch: bytes) -> bool:
        cursor.execute("SELECT epoch FROM splitcache_state")
        return bool(cursor.fetchone()[0] == epoch.hex())

    def _supersede(self, cursor: Any, epoch: bytes) -> None:
        self._execute(
            cursor,
            "INSERT INTO splitcache_superseded_epochs (epoch, superseded_at)"
            " SELECT ?, coalesce(max(superseded_at), 0) + 1 FROM splitcache_superseded_epochs",
            (epoch.hex(),),
        )
        cursor.execute(
            "DELETE FROM splitcache_superseded_epochs WHERE superseded_at <= (SELECT"
            f" max(superseded_at) - {_SUPERSEDED_MAX} FROM splitcache_superseded_epochs)"
        )

    def _execute(self, cursor: Any, statement: str, values: Sequence[Any]) -> None:
        cursor.execute(self._database.sql(statement), tuple(values))

    def _run(self, work: Callable[[Any], Result]) -> Result:
        try:
            if self._connection is None:
                self._connection = self._database.connect()
            result = work(self._database.cursor(self._connection))
            self._connection.commit()
            return result
        except Exception as error:
            self._abandon()
            raise OutboxUnavailable(str(error)) from error

    def _abandon(self) -> None:
        try:
            self.close()
        except Exception:
            logger.debug("the connection of the outbox could not be closed", exc_info=True)


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))
