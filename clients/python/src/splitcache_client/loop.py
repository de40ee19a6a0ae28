"""The thread that the client works in. Its methods have the names of Twisted's reactor, since the
same parts run on one."""

from __future__ import annotations

import heapq
import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

logger = logging.getLogger(__name__)


class Later:
    """A call at a later time."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call: Callable[[], Any] | None = call

    def active(self) -> bool:
        return self._call is not None

    def cancel(self) -> None:
        self._call = None

    def run(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call()


class Loop:
    """Started by `start`. Nothing that it runs may wait."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], Any] | None] = queue.SimpleQueue()
        self._later: list[tuple[float, int, Later]] = []
        self._order = itertools.count()
        self._thread = threading.Thread(target=self._run, name="splitcache-loop", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Does what was handed over before, then ends. Timers are dropped."""
        self._calls.put(None)
        self._thread.join(timeout_s)

    def callFromThread(self, function: Callable[..., Any], *args: Any) -> None:
        """For any thread."""
        self._calls.put(lambda: function(*args))

    def callLater(self, seconds: float, function: Callable[..., Any], *args: Any) -> Later:
        """In the loop's thread."""
        later = Later(lambda: function(*args))
        heapq.heappush(self._later, (time.monotonic() + seconds, next(self._order), later))
        return later

    def _run(self) -> None:
        while True:
            now = time.monotonic()
            while self._later and self._later[0][0] <= now:
                self._do(heapq.heappop(self._later)[2].run)
            wait_s = max(0.0, self._later[0][0] - now) if self._later else None
            try:
                call = self._calls.get(timeout=wait_s)
                # What has come meanwhile runs before the timers: lookups of one turn are joined.
                for _ in range(self._calls.qsize() + 1):
                    if call is None:
                        return
                    self._do(call)
                    call = self._calls.get_nowait()
                if call is None:
                    return
                self._do(call)
            except queue.Empty:
                continue

    def _do(self, call: Callable[[], Any]) -> None:
        try:
            call()
        except Exception:
            # One call must not end the thread that all others need.
            logger.exception("splitcache: a call of the client's thread raised")
