"""The statements of the outbox, on SQLite and on PostgreSQL."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg2
import pytest
from synapse.config._base import ConfigError
from synapse.storage.engines import create_engine

from client_support.polls import E1, E2, E3
from e2e.postgres import USER, postgres
from e2e.processes import free_port
from splitcache_client import outbox_database as client
from splitcache_client.outbox_poll import ROWS_MAX, Change
from splitcache_client.outbox_table import OutboxTable, OutboxUnavailable
from splitcache_client.pending import Pending
from splitcache_synapse.outbox_database import OutboxDatabase, insert
from tests.bridge import sqlite_database


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OutboxDatabase]:
    folder = tmp_path_factory.mktemp("postgres")
    for one in (folder, *folder.parents):
        # The server runs as another user.
        if one.stat().st_uid == folder.stat().st_uid and one != Path("/"):
            one.chmod(one.stat().st_mode | 0o011)
    port = free_port()
    process = postgres(folder, port)
    process.start()
    arguments = {"host": "127.0.0.1", "port": port, "user": USER, "dbname": "postgres"}
    config = {"name": "psycopg2", "args": {**arguments, "cp_min": 1, "cp_max": 2}}
    yield OutboxDatabase(create_engine(config), SimpleNamespace(config=config))
    process.stop()


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> OutboxDatabase:
    if request.param == "sqlite":
        return sqlite_database(tmp_path / "synapse.db")
    found: OutboxDatabase = request.getfixturevalue("server")
    drop_tables(found)
    found.create_tables()
    return found


def drop_tables(database: OutboxDatabase) -> None:
    connection = database.connect()
    connection.cursor().execute(
        "DROP TABLE IF EXISTS splitcache_outbox, splitcache_state, splitcache_superseded_epochs"
    )
    connection.commit()
    connection.close()


@pytest.fixture
def table(database: OutboxDatabase) -> Iterator[OutboxTable]:
    table = OutboxTable(database, time.monotonic)
    yield table
    table.close()


def commit(database: OutboxDatabase, room_id: str) -> str:
    """A transaction that changes something of a room; its row."""
    pending = Pending()
    pending.add_room(room_id)
    connection = database.connect()
    cursor = connection.cursor()
    execute = cursor.execute
    transaction = SimpleNamespace(execute=lambda sql, values: execute(database.sql(sql), values))
    insert(transaction, pending)
    connection.commit()
    connection.close()
    assert pending.row_id is not None
    return pending.row_id


def test_shows_what_was_committed_and_what_it_says(
    database: OutboxDatabase, table: OutboxTable
) -> None:
    assert table.poll().rows == ()
    before = time.monotonic()
    rows = {commit(database, "!a"), commit(database, "!b")}
    poll = table.poll()
    assert set(poll.rows) == rows
    assert before <= poll.sent_at <= poll.answered_at
    said = table.announcements([*poll.rows, "gone"])
    assert set(said) == rows
    assert any('"!a"' in text for text in said.values())


def test_never_gives_two_rows_one_id(database: OutboxDatabase, table: OutboxTable) -> None:
    first = commit(database, "!a")
    assert table.register(E1, b"")
    assert table.delete([first], E1)
    assert commit(database, "!a") != first


def test_deletes_only_in_the_registered_epoch(database: OutboxDatabase, table: OutboxTable) -> None:
    row = commit(database, "!a")
    assert not table.delete([row], E1)
    assert table.register(E1, b"")
    assert not table.delete([row], E2)
    assert table.poll().rows == (row,)
    assert table.delete([row], E1)
    assert table.poll().rows == ()
    # It is gone; another process was first.
    assert table.delete([row], E1)


@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize("epoch", [E1, E2])
def test_says_that_rows_are_deleted_only_if_they_are_when_the_epoch_is_superseded_meanwhile(
    database: OutboxDatabase,
    table: OutboxTable,
    monkeypatch: pytest.MonkeyPatch,
    epoch: bytes,
    at: int,
) -> None:
    row = commit(database, "!a")
    table.register(E1, b"")
    other = OutboxTable(database, time.monotonic)
    is_registered = table._is_registered
    asked: list[bool] = []

    def looking(cursor: Any, epoch: bytes) -> bool:
        if at == 0 and not asked:
            other.register(E2, E1)
        asked.append(is_registered(cursor, epoch))
        if at == 1 and len(asked) == 1:
            other.register(E2, E1)
        return asked[-1]

    monkeypatch.setattr(table, "_is_registered", looking)
    deleted = table.delete([row], epoch)
    assert deleted == (row not in other.poll().rows)
    # At first it was registered, and then not: the row is kept for the other epoch.
    assert deleted == (epoch == E2 and at == 0)
    other.close()


def test_registers_an_epoch_in_the_place_of_the_one_that_it_names(table: OutboxTable) -> None:
    assert table.poll().epoch == b""
    assert table.register(E1, b"")
    assert table.poll().epoch == E1
    # It expects none, and is too late: nothing is replaced.
    assert table.register(E2, b"")
    assert table.poll().epoch == E1
    assert table.register(E2, E1)
    assert table.poll().epoch == E2


def test_never_registers_an_epoch_again(table: OutboxTable) -> None:
    table.register(E1, b"")
    table.register(E2, E1)
    assert not table.register(E1, E2)
    assert table.poll().epoch == E2


def test_records_a_generation_together_with_the_epoch_that_begins_with_it(
    table: OutboxTable,
) -> None:
    generation = table.poll().generation
    assert generation
    table.register(E1, b"")

    def shown() -> tuple[bytes, str]:
        poll = table.poll()
        return poll.epoch, poll.recorded_generation

    # Another process was first: with another epoch, or with another generation.
    assert not table.begin_generation(Change(1, "", generation, E3), E2)
    assert not table.begin_generation(Change(1, "another", generation, E1), E2)
    assert shown() == (E1, "")
    assert table.begin_generation(Change(1, "", generation, E1), E2)
    assert shown() == (E2, generation)
    # The epoch before was superseded, also for a change.
    assert not table.register(E1, E2)
    assert not table.begin_generation(Change(2, generation, "later", E2), E1)
    assert shown() == (E2, generation)


class Between:
    """A connection before whose second SELECT something happens."""

    def __init__(self, connection: Any, happens: Callable[[], None]) -> None:
        self._connection = connection
        self._happens = happens
        self._selects = 0

    def cursor(self) -> Any:
        cursor = self._connection.cursor()

        def execute(statement: str, *values: Any) -> None:
            self._selects += statement.startswith("SELECT")
            if self._selects == 2:
                self._happens()
            cursor.execute(statement, *values)

        return SimpleNamespace(execute=execute, fetchone=cursor.fetchone, fetchall=cursor.fetchall)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def test_never_shows_an_epoch_without_the_rows_that_were_deleted_under_the_next_one(
    database: OutboxDatabase, table: OutboxTable
) -> None:
    """Between two statements of a poll another process registers an epoch, and announces a row."""
    row = commit(database, "!a")
    table.register(E1, b"")
    other = OutboxTable(database, time.monotonic)

    def happens() -> None:
        assert other.register(E2, E1)
        assert other.delete([row], E2)

    table._connection = Between(table._connection, happens)
    poll = table.poll()
    # The row was there when the poll was sent.
    assert other.poll().rows == ()
    assert poll.epoch == E2 or row in poll.rows
    other.close()


def test_raises_what_is_to_be_raised(database: OutboxDatabase, table: OutboxTable) -> None:
    table.register(E1, b"")
    table.raise_counters(True, False, E1)
    table.raise_counters(False, True, E1)
    table.raise_counters(False, False, E1)
    # It heard of an epoch that is not the registered one any more.
    table.raise_counters(True, True, E2)
    poll = table.poll()
    assert (poll.counter, poll.heard) == ((1, 1) if database.is_postgres else (0, 0))


def test_shows_that_there_are_too_many_rows(database: OutboxDatabase, table: OutboxTable) -> None:
    connection = database.connect()
    cursor = connection.cursor()
    rows = [(f"row{n}", "{}") for n in range(ROWS_MAX + 5)]
    cursor.executemany(database.sql("INSERT INTO splitcache_outbox VALUES (?, ?)"), rows)
    connection.commit()
    connection.close()
    shown = table.poll().rows
    assert len(shown) == ROWS_MAX + 1
    table.register(E1, b"")
    assert table.delete(shown, E1)
    assert len(table.poll().rows) == 4


def test_creates_its_tables_beside_others_that_do_so_as_well(server: OutboxDatabase) -> None:
    for _ in range(5):
        drop_tables(server)
        failures: list[Exception] = []
        barrier = threading.Barrier(8)

        def create(barrier: Any = barrier, failures: Any = failures) -> None:
            barrier.wait()
            try:
                server.create_tables()
            except Exception as error:
                failures.append(error)

        threads = [threading.Thread(target=create) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []


def test_refuses_tables_that_are_newer_than_it_is(database: OutboxDatabase) -> None:
    connection = database.connect()
    connection.cursor().execute("UPDATE splitcache_state SET version = 2")
    connection.commit()
    connection.close()
    with pytest.raises(ConfigError, match="version 2"):
        database.create_tables()


def test_uses_tables_that_are_there_though_it_may_create_none(server: OutboxDatabase) -> None:
    drop_tables(server)
    server.create_tables()
    connection = server.connect()
    cursor = connection.cursor()
    cursor.execute("DROP ROLE IF EXISTS guest")
    cursor.execute("CREATE ROLE guest LOGIN")
    cursor.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    cursor.execute("GRANT SELECT ON splitcache_state TO guest")
    connection.commit()
    guest = {**server._arguments, "user": "guest"}
    config = {"name": "psycopg2", "args": guest}
    try:
        OutboxDatabase(create_engine(config), SimpleNamespace(config=config)).create_tables()
    finally:
        cursor.execute("REVOKE ALL ON splitcache_state FROM guest")
        cursor.execute("DROP ROLE guest")
        connection.commit()
        connection.close()


def test_a_client_without_synapse_uses_the_same_tables(server: OutboxDatabase) -> None:
    server.create_tables()
    alone = client.OutboxDatabase.postgres(lambda: psycopg2.connect(**server._arguments))
    alone.create_tables()
    assert alone.generation() == OutboxTable(server, time.monotonic).poll().generation
    pending = Pending()
    pending.add_events("!room", ["$a"])
    connection = alone.connect()
    cursor = connection.cursor()
    cursor.execute("SHOW transaction_isolation")
    assert cursor.fetchone() == ("read committed",)
    alone.insert(cursor, pending)
    connection.commit()
    connection.close()
    table = OutboxTable(alone, time.monotonic)
    assert pending.row_id in table.poll().rows
    assert table.announcements([pending.row_id or ""]) == {pending.row_id: pending.text()}
    table.close()


def test_has_the_next_poll_purge_everything_when_it_is_switched_off(
    database: OutboxDatabase, table: OutboxTable
) -> None:
    assert table.begin_generation(Change(1, "", table.poll().generation, b""), E1)
    connection = database.connect()
    for has_polled in (True, False):
        assert database.forget_state(database.cursor(connection)) is has_polled
        connection.commit()
    connection.close()
    assert table.poll().recorded_generation == ""


def test_connects_anew_after_a_failure(database: OutboxDatabase, table: OutboxTable) -> None:
    table.poll()
    table._connection.close()
    with pytest.raises(OutboxUnavailable):
        table.poll()
    assert table.poll().rows == ()


def test_needs_a_database_that_a_second_connection_can_open() -> None:
    config = {"name": "sqlite3", "args": {"database": ":memory:"}}
    with pytest.raises(ConfigError, match="in a file"):
        OutboxDatabase(create_engine(config), SimpleNamespace(config=config))
