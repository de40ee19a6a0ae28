"""Asks which database the connections of readers reach: a fill from a database that was replaced
would be what no longer is (O8)."""

from __future__ import annotations

import logging
from typing import Any

from synapse.logging.context import (  # type: ignore[attr-defined]
    LoggingContext,
    PreserveLoggingContext,
)
from twisted.internet.defer import Deferred

from splitcache_client.outbox_rules import OutboxRules

logger = logging.getLogger(__name__)

# How often it is looked whether to ask: soon after the first poll.
_INTERVAL_S = 0.1


class PoolGeneration:
    """On the reactor's thread. Asks at the start, and after each change of the generation."""

    def __init__(self, pool: Any, reactor: Any, rules: OutboxRules, generation_sql: str) -> None:
        self._pool = pool
        self._reactor = reactor
        self._rules = rules
        self._generation_sql = generation_sql
        self._is_asking = False
        self._is_stopped = False

    def start(self) -> None:
        if self._is_stopped:
            return
        self._reactor.callLater(_INTERVAL_S, self.start)
        if self._rules.pool_is_unknown() and not self._is_asking:
            self._is_asking = True
            # Synapse may have called this in a context of its own, which would come back with the
            # answer and leak.
            with PreserveLoggingContext():
                Deferred.fromCoroutine(self._ask())

    def stop(self) -> None:
        self._is_stopped = True

    async def _ask(self) -> None:
        def ask(txn: Any) -> str:
            txn.execute(f"SELECT {self._generation_sql}")
            return str(txn.fetchone()[0])

        try:
            with LoggingContext(name="splitcache-generation", server_name=self._pool.server_name):
                self._rules.pool_showed(
                    await self._pool.runInteraction("splitcache_generation", ask)
                )
        except Exception as error:
            # A standby, say. Nothing is filled from it.
            logger.info("splitcache: the readers' database does not say which it is: %s", error)
        finally:
            self._is_asking = False
