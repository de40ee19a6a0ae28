"""The client for threads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as FutureTimeout
from types import TracebackType
from typing import Any

from splitcache_client.changes import Change, Follower
from splitcache_client.clock import monotonic
from splitcache_client.core import Core
from splitcache_client.event import Event
from splitcache_client.freshness_report import FreshnessReport, report
from splitcache_client.metrics import ClientMetrics
from splitcache_client.options import Options, check_timeout
from splitcache_client.pending import Pending
from splitcache_client.reading import Found, Position, Reading, message

# How long a read waits for the sidecar before it counts as missing.
READ_TIMEOUT_S = 1.0
# More than a write waits at most for its announcement (T, 4 s).
WRITE_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 10.0

# Reads these events from the database: those that it has.
Fetch = Callable[[Sequence[str]], Iterable[Event]]


class SplitCache:
    """Reads events through a near cache and a sidecar. For any number of threads.

    No read fails because a sidecar or the database of the outbox is unavailable: events are missing
    then, and the caller reads its database.
    """

    def __init__(self, core: Core) -> None:
        self._core = core

    @classmethod
    def connect(cls, **options: Any) -> SplitCache:
        """Takes the fields of Options. Connects in the background.

        Raises:
            ValueError: an option is wrong.
            CertificateError: a certificate file is wrong.
            OutboxError: the tables of the outbox cannot be used.
        """
        return cls(Core(Options(**options)))

    def __enter__(self) -> SplitCache:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Waits for announcements under way, then ends all threads. May be called again."""
        self._core.close(check_timeout("timeout_s", timeout_s))

    def get_many(self, event_ids: Iterable[str], *, timeout_s: float = READ_TIMEOUT_S) -> Found:
        """The events that the near cache or the sidecar has. After the timeout the rest counts as
        missing."""
        return self._read(event_ids, timeout_s).found()

    def get_or_fetch(
        self, event_ids: Iterable[str], fetch: Fetch, *, timeout_s: float = READ_TIMEOUT_S
    ) -> dict[str, Event]:
        """The events, with those that `fetch` has read for what is missing. They are put into the
        sidecar with a position from before `fetch` was called, so that no stale event can be
        stored. `fetch` must read a database that shows every committed change, and may be called
        again if it took long. The timeout is that of the sidecar, not of `fetch`."""
        reading = self._read(event_ids, timeout_s)
        found = reading.found()
        asked: set[str] = set()
        while missing := [one for one in found.missing if one not in asked]:
            fills = reading.fetched(fetch(missing), missing, found)
            if fills and found.as_of is not None:
                self._core.put(fills, message(found.as_of))
            asked.update(missing)
            found = reading.found_again()
        return found.events

    def put(
        self, events: Sequence[Event], as_of: Position, *, timeout_s: float = READ_TIMEOUT_S
    ) -> None:
        """Puts events read from the database after a read that returned `as_of`. `get_or_fetch`
        does so by itself."""
        self._wait(self._core.put(events, message(as_of)), timeout_s)

    def announce(self, pending: Pending, *, timeout_s: float = WRITE_TIMEOUT_S) -> None:
        """Call it after COMMIT. Returns when no read that begins later finds what was before, or
        when the write has waited long enough: the outbox row is then relayed later."""
        self._wait(self._core.announce(pending), timeout_s)

    def changes(self, *, timeout_s: float | None = None) -> Iterator[Change]:
        """What changes from this call on, until the client is closed or no change came within the
        timeout. Reset is an item: drop everything that was kept."""
        if timeout_s is not None:
            check_timeout("timeout_s", timeout_s)
        follower = Follower()
        self._core.drops.follow(follower)
        return self._changes(follower, timeout_s)

    def _changes(self, follower: Follower, timeout_s: float | None) -> Iterator[Change]:
        try:
            while (change := follower.take(timeout_s)) is not None:
                yield change
        finally:
            self._core.drops.unfollow(follower)

    def wait_until_current(self, *, timeout_s: float = 10.0) -> bool:
        """Waits until the near cache may answer and, with a database, fills are accepted: some
        seconds after a start. Nothing requires this call. False: not within the timeout."""
        deadline = monotonic() + check_timeout("timeout_s", timeout_s)
        while not self._core.is_current():
            if monotonic() >= deadline:
                return False
            time.sleep(0.01)
        return True

    def settled(self, *, timeout_s: float = READ_TIMEOUT_S) -> bool:
        """Waits for the fills of `get_or_fetch`, which run in the background. Whether all ended."""
        return self._core.settled(check_timeout("timeout_s", timeout_s))

    @property
    def freshness(self) -> FreshnessReport:
        """How fresh reads are at this moment."""
        return report(self._core)

    @property
    def metrics(self) -> ClientMetrics:
        """The object of the options; Counters by default."""
        return self._core.options.metrics

    def _read(self, event_ids: Iterable[str], timeout_s: float) -> Reading:
        check_timeout("timeout_s", timeout_s)
        reading = Reading(self._core, event_ids)
        if reading.to_ask:
            reading.answered(self._wait(self._core.look(reading.to_ask), timeout_s))
        return reading

    def _wait(self, future: Any, timeout_s: float) -> Any:
        try:
            return future.result(check_timeout("timeout_s", timeout_s))
        except (FutureTimeout, CancelledError):
            future.cancel()
            return None
