"""Log lines that a fault could repeat thousands of times a second."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

INTERVAL_S = 60.0


class SeldomLog:
    """Logs the first of like lines, then one a minute with the number of those left out."""

    def __init__(
        self, logger: logging.Logger, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._logger = logger
        self._monotonic = monotonic
        self._next_at = float("-inf")
        self._left_out = 0

    def log(self, level: int, text: str, *values: object, **more: Any) -> None:
        """As Logger.log."""
        now = self._monotonic()
        if now < self._next_at:
            self._left_out += 1
            return
        if self._left_out:
            text, values = f"{text} (%d like it since the last line)", (*values, self._left_out)
        self._next_at, self._left_out = now + INTERVAL_S, 0
        self._logger.log(level, text, *values, **more)
