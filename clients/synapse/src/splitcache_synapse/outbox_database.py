"""The homeserver's database, as far as it holds the outbox."""

from __future__ import annotations

import sqlite3
from typing import Any

from synapse.config._base import ConfigError
from synapse.storage.engines import PostgresEngine

from splitcache_client import outbox_database
from splitcache_client.outbox_database import STATEMENT_TIMEOUT_MS, OutboxError, insert

__all__ = ["OutboxDatabase", "insert"]

# TCP alone would wait for a quarter of an hour for a server that vanished.
_PATIENCE = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


class OutboxDatabase(outbox_database.OutboxDatabase):
    """Opens connections as homeserver.yaml says."""

    def __init__(self, engine: Any, database_config: Any) -> None:
        self._arguments = arguments = {
            name: value
            for name, value in database_config.config.get("args", {}).items()
            if not name.startswith("cp_")
        }
        is_postgres = isinstance(engine, PostgresEngine)
        if not is_postgres and arguments.get("database") in (None, ":memory:"):
            raise ConfigError("splitcache: database: SQLite must keep it in a file")

        def connect() -> Any:
            if not is_postgres:
                return sqlite3.connect(arguments["database"], timeout=STATEMENT_TIMEOUT_MS / 1000)
            return engine.module.connect(**{**_PATIENCE, **arguments})

        super().__init__(connect, is_postgres=is_postgres, paramstyle=engine.module.paramstyle)

    def create_tables(self) -> None:
        """As its base does.

        Raises:
            ConfigError: the tables cannot be used.
        """
        try:
            super().create_tables()
        except OutboxError as error:
            raise ConfigError(f"splitcache: {error}") from error
