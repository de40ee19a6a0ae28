"""A change owes an announcement from its COMMIT on, whatever becomes of the process (O1, O2)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from synapse.storage.database import LoggingDatabaseConnection

from splitcache_synapse import SplitcacheModule
from tests.changes import (
    ban,
    ban_for_a_while,
    expire,
    kick,
    resign,
)
from tests.homeserver import Homeserver


@pytest.mark.parametrize("change", [expire, resign, ban, kick])
def test_a_change_commits_with_its_row_of_the_outbox(
    home: Homeserver,
    room_id: str,
    change: Callable[[Homeserver, str, str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """O1: or a process that dies after COMMIT would leave nothing behind that says so."""
    ban_for_a_while(home, room_id)
    event_id = home.send(room_id)
    commit = LoggingDatabaseConnection.commit
    appeared: list[set[str]] = []

    def looking(connection: LoggingDatabaseConnection) -> None:
        before = outbox(home)
        commit(connection)
        appeared.append(outbox(home) - before)

    monkeypatch.setattr(LoggingDatabaseConnection, "commit", looking)
    change(home, room_id, event_id)
    # Signing anew takes several transactions.
    assert {len(rows) for rows in appeared if rows} == {1}
    # The write has returned, so it was announced, and that deleted.
    assert outbox(home) == set()


def test_a_transaction_that_cannot_note_what_it_owes_fails(
    home: Homeserver, room_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    event_id = home.send(room_id)
    execute = home.store.db_pool.execute
    rename = "ALTER TABLE {} RENAME TO {}"
    home.run(lambda: execute("test", rename.format("splitcache_outbox", "elsewhere")))
    try:
        with pytest.raises(sqlite3.OperationalError):
            home.redact(room_id, event_id)
    finally:
        home.run(lambda: execute("test", rename.format("elsewhere", "splitcache_outbox")))
    assert "what it owes cannot be noted" in caplog.text
    assert "redacted_because" not in home.stored(event_id).unsigned
    assert home.stored(event_id).internal_metadata.is_redacted() is False


def test_an_attempt_whose_outcome_is_not_known_leaves_its_row(
    home: Homeserver, room_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """O2: Synapse tries again; only what is known to have been committed is deleted. The other
    row is relayed, and then deleted."""
    event_id = home.send(room_id)
    home.fill(event_id)
    commit = LoggingDatabaseConnection.commit
    commits: list[set[str]] = []

    def lost(connection: LoggingDatabaseConnection) -> None:
        before = outbox(home)
        commit(connection)
        commits.append(outbox(home) - before)
        if len(commits) == 1:
            raise sqlite3.OperationalError("the connection broke; nobody knows")

    def change(txn: Any) -> None:
        home.store.invalidate_get_event_cache_after_txn(txn, event_id)

    monkeypatch.setattr(LoggingDatabaseConnection, "commit", lost)
    home.run(lambda: home.store.db_pool.runInteraction("test", change))
    first, second = commits
    assert first
    assert second
    assert first != second
    assert outbox(home) == first
    home.run_until(lambda: outbox(home) == set())


def outbox(home: Homeserver) -> set[str]:
    connection = sqlite3.connect(home.database)
    rows = {row for (row,) in connection.execute("SELECT id FROM splitcache_outbox")}
    connection.close()
    return rows


class _Held:
    """Keeps back the calls that tell the sidecar of changes."""

    immediate = False

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self.calls: list[Callable[[], None]] = []

    def unary(self, method: str, *args: Any) -> None:
        call = partial(self._transport.unary, method, *args)
        if method in ("InvalidateEvents", "PurgeRoom"):
            self.calls.append(call)
        else:
            call()


@pytest.mark.parametrize("change", [expire, resign, ban, kick])
def test_a_change_ends_once_it_is_announced(
    home: Homeserver,
    room_id: str,
    change: Callable[[Homeserver, str, str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Or a read that begins when the write has been answered could find the event as it was."""
    # Without it a kick ends nothing, and announces nothing.
    ban_for_a_while(home, room_id)
    event_id = home.send(room_id)
    held = _Held(home.module._announcer._means.transport)
    iterate, turns = home.reactor.iterate, 0

    def turn(delay: float) -> None:
        nonlocal turns
        iterate(delay)
        turns += bool(held.calls)
        # Enough for all that does not wait for the announcement.
        while turns > 100 and held.calls:
            held.calls.pop()()

    monkeypatch.setattr(home.module._announcer._means, "transport", held)
    monkeypatch.setattr(home.reactor, "iterate", turn)
    change(home, room_id, event_id)
    assert turns > 100
    assert not held.calls


def test_switching_off_patches_nothing_and_has_everything_purged_later(
    home: Homeserver, room_id: str
) -> None:
    """By whoever polls next, with the module on: changes may have gone unannounced meanwhile."""
    event_id = home.send(room_id)
    home.fill(event_id)
    cache = home.store._get_event_cache
    off = SplitcacheModule.parse_config({"address": "unix:/nobody.sock", "enabled": False})
    SplitcacheModule(off, home.hs.get_module_api())
    assert home.store._get_event_cache is cache
    home.run_until(lambda: home.held(event_id) is None)
    home.fill(event_id)
