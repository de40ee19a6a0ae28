"""A process without the module, beside others that have it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from synapse.storage.engines import create_engine

from splitcache_synapse.bystander import Bystander, stand_by
from splitcache_synapse.outbox_database import OutboxDatabase
from tests.bridge import sqlite_database


@pytest.fixture
def path(tmp_path: Path) -> Path:
    sqlite_database(tmp_path / "home.db")
    execute(tmp_path / "home.db", "UPDATE splitcache_state SET generation = 'g'")
    return tmp_path / "home.db"


def config_of(path: Path) -> dict[str, Any]:
    return {"name": "sqlite3", "args": {"database": str(path)}}


def without_tables(path: Path) -> OutboxDatabase:
    config = config_of(path)
    return OutboxDatabase(create_engine(config), SimpleNamespace(config=config))


def execute(path: Path, statement: str) -> list[tuple[str]]:
    connection = sqlite3.connect(path)
    found = connection.execute(statement).fetchall()
    connection.commit()
    connection.close()
    return found


def generation(path: Path) -> str:
    ((found,),) = execute(path, "SELECT generation FROM splitcache_state")
    return found


def others_poll(path: Path) -> None:
    execute(path, "UPDATE splitcache_state SET counter = counter + 1, generation = 'g'")


def test_everything_counts_as_changed_each_time_that_others_have_polled(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bystander = Bystander(sqlite_database(path))
    bystander.turn()
    for _ in range(3):
        others_poll(path)
        bystander.turn()
        assert generation(path) == ""
    assert caplog.text.count("other processes of this homeserver use the cache") == 1


def test_everything_counts_as_changed_though_the_counter_stands_still(path: Path) -> None:
    """As when the only process that polls has raised the counter and begins a generation later, or
    is frozen."""
    bystander = Bystander(sqlite_database(path))
    others_poll(path)
    bystander.turn()
    execute(path, "UPDATE splitcache_state SET generation = 'h'")
    bystander.turn()
    assert generation(path) == ""


def test_its_last_changes_count_when_it_stops(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("splitcache_synapse.bystander.INTERVAL_S", 3600.0)
    bystander = Bystander(sqlite_database(path))
    bystander.start()
    bystander.stop()
    assert generation(path) == ""


def test_it_creates_no_tables_and_waits_for_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "without.db"
    bystander = Bystander(without_tables(path))
    bystander.turn()
    assert execute(path, "SELECT name FROM sqlite_master") == []
    assert caplog.text == ""
    sqlite_database(path)
    others_poll(path)
    bystander.turn()
    assert generation(path) == ""


class _Homeserver:
    def __init__(self, path: Path) -> None:
        pool = SimpleNamespace(
            engine=create_engine(config_of(path)),
            _database_config=SimpleNamespace(config=config_of(path)),
        )
        self._stores = SimpleNamespace(main=SimpleNamespace(db_pool=pool))

    def get_datastores(self) -> Any:
        return self._stores


def test_at_the_start_everything_counts_as_changed(path: Path) -> None:
    stand_by(_Homeserver(path))
    assert generation(path) == ""


def test_at_the_start_no_tables_are_created(tmp_path: Path) -> None:
    stand_by(_Homeserver(tmp_path / "without.db"))
    assert execute(tmp_path / "without.db", "SELECT name FROM sqlite_master") == []


class _Postgres:
    """Of a server: notes the statements."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.rowcount = 0

    def cursor(self) -> _Postgres:
        return self

    def execute(self, statement: str) -> None:
        self.said.append(statement)

    def fetchall(self) -> list[tuple[bool]]:
        return [(True,)]

    def commit(self) -> None:
        self.said.append("COMMIT")


def test_the_server_gives_up_a_statement_that_takes_too_long(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, server = sqlite_database(path), _Postgres()
    monkeypatch.setattr(database, "is_postgres", True)
    monkeypatch.setattr(database, "connect", lambda: server)
    bystander = Bystander(database)
    bystander.turn()
    bystander.turn()
    # Of each transaction.
    assert server.said[0] == server.said[4] == "SET LOCAL statement_timeout = 5000"
    assert server.said[3] == server.said[7] == "COMMIT"


def test_it_goes_on_after_the_database_was_away(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused() -> Any:
        raise sqlite3.OperationalError("no connections left")

    database = sqlite_database(path)
    bystander = Bystander(database)
    bystander.turn()
    with monkeypatch.context() as away:
        away.setattr(database, "connect", refused)
        bystander._connection.close()
        for _ in range(3):
            bystander.turn()
    # Once, not every second.
    assert caplog.text.count("the outbox cannot be written") == 1
    others_poll(path)
    bystander.turn()
    assert generation(path) == ""
