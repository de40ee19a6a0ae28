"""A process without the module, beside others that have it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from splitcache_synapse.bystander import Bystander
from tests.bridge import sqlite_database


@pytest.fixture
def path(tmp_path: Path) -> Path:
    sqlite_database(tmp_path / "home.db")
    execute(tmp_path / "home.db", "UPDATE splitcache_state SET generation = 'g'")
    return tmp_path / "home.db"


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


def test_nothing_is_written_while_nobody_polls(path: Path) -> None:
    bystander = Bystander(sqlite_database(path))
    for _ in range(3):
        bystander.turn()
    assert generation(path) == "g"


def test_it_goes_on_after_the_database_was_away(path: Path) -> None:
    bystander = Bystander(sqlite_database(path))
    bystander.turn()
    execute(path, "ALTER TABLE splitcache_state RENAME TO away")
    bystander.turn()
    execute(path, "ALTER TABLE away RENAME TO splitcache_state")
    others_poll(path)
    bystander.turn()
    assert generation(path) == ""
