"""As much of a reactor as the bridge uses, turned by the test itself."""

from __future__ import annotations

import heapq
import itertools
import logging
import queue
import time
from collections.abc import Callable
from typing import Any

from twisted.internet.error import AlreadyCalled, AlreadyCancelled

logger = logging.getLogger(__name__)

# A test that waits longer than this for something has failed.
PATIENCE_S = 20.0


class _Later:
    """As strict as Twisted's: a timer that was called or cancelled cannot be cancelled."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._is_cancelled = self._is_called = False

    def active(self) -> bool:
        return not (self._is_cancelled or self._is_called)

    def cancel(self) -> None:
        if self._is_cancelled:
            raise AlreadyCancelled
        if self._is_called:
            raise AlreadyCalled
        self._is_cancelled = True

    def run(self) -> None:
        if self._is_cancelled:
            return
        self._is_called = True
        try:
            self._call()
        except Exception:
            # As a reactor does.
            logger.exception("a timer's call raised")


class LoopReactor:
    """Real threads, real sockets and real time; one thread turns it."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._later: list[tuple[float, int, _Later]] = []
        self._order = itertools.count()

    def callFromThread(self, function: Callable[..., Any], *args: Any) -> None:
        self._calls.put(lambda: function(*args))

    def callLater(self, seconds: float, function: Callable[..., Any], *args: Any) -> _Later:
        # As in Twisted.
        assert seconds >= 0, seconds
        later = _Later(lambda: function(*args))
        heapq.heappush(self._later, (time.monotonic() + seconds, next(self._order), later))
        return later

    def run_until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < deadline, "did not come true in time"
            self._turn()

    def result_of(self, deferred: Any) -> Any:
        results: list[Any] = []
        deferred.addBoth(results.append)
        self.run_until(lambda: bool(results))
        return results[0]

    def _turn(self) -> None:
        while self._later and self._later[0][0] <= time.monotonic():
            heapq.heappop(self._later)[2].run()
        try:
            call = self._calls.get(timeout=0.005)
        except queue.Empty:
            return
        call()
