"""Freshness of a client without a database: it reads, and fills nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable

from splitcache_client.near_cache import NearCache
from splitcache_client.seldom import SeldomLog

logger = logging.getLogger(__name__)

# Epochs that are remembered; a sidecar starts one at each restart.
_EPOCHS_MAX = 1_000


class ReaderFreshness:
    """Follows the epoch of the stream of changes. An epoch that comes back after another means that
    two sidecars without a common log answer at the address: nothing is read any longer."""

    def __init__(self, near: NearCache) -> None:
        self._near = near
        self._current = b""
        # When a reply of the current epoch was first used.
        self._since = 0.0
        self._before: dict[bytes, None] = {}
        self.has_two_logs = False
        self._errors = SeldomLog(logger)

    def is_open(self) -> bool:
        return not self.has_two_logs

    def uses(self, epoch: bytes) -> bool:
        return epoch != b"" and epoch == self._near.epoch and not self.has_two_logs

    def fills(self, epoch: bytes) -> bool:
        return False

    def replied(self, epoch: bytes, sent_at: float) -> None:
        if epoch == self._current:
            return
        # A late reply of the epoch before is no sign.
        if epoch in self._before:
            if sent_at > self._since:
                self._two_logs()
        elif epoch == self._near.epoch:
            if self._current:
                self._before[self._current] = None
                while len(self._before) > _EPOCHS_MAX:
                    del self._before[next(iter(self._before))]
            self._current, self._since = epoch, sent_at

    def announced(self, row: str, epoch: bytes, on_done: Callable[[bool], None]) -> None:
        on_done(False)

    def write_may_return(self, epoch: bytes) -> bool:
        return False

    def _two_logs(self) -> None:
        self.has_two_logs = True
        self._errors.log(
            logging.ERROR,
            "splitcache: an epoch came back after another; the cache is not used any longer: do "
            "several sidecars without a common log answer at this address?",
        )
