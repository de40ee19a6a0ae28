"""The clock goes on while the machine is suspended."""

from __future__ import annotations

import time

from splitcache_client.clock import monotonic


def test_counts_seconds_since_the_machine_was_started() -> None:
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert before <= monotonic() <= time.clock_gettime(time.CLOCK_BOOTTIME)
