"""Asks which database the connections of readers reach: a fill from a database that was replaced
would bring back what no longer exists (O8)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from splitcache_client.outbox_rules import OutboxRules
from splitcache_client.seldom import SeldomLog

logger = logging.getLogger(__name__)

# How often it is looked whether to ask: soon after the first poll.
_INTERVAL_S = 0.1


class PoolGeneration:
    """In a thread of its own, since asking may take long."""

    def __init__(self, ask: Callable[[], str], rules: OutboxRules) -> None:
        self._ask = ask
        self._rules = rules
        self._is_stopped = threading.Event()
        self._failures = SeldomLog(logger)
        self._thread = threading.Thread(target=self._run, name="splitcache-pool", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._is_stopped.set()

    def _run(self) -> None:
        while not self._is_stopped.wait(_INTERVAL_S):
            if not self._rules.pool_is_unknown():
                continue
            try:
                self._rules.pool_showed(self._ask())
            except Exception as error:
                # A standby, say. Nothing is filled from it.
                text = "splitcache: the readers' database does not say which it is: %s"
                self._failures.log(logging.INFO, text, error)
