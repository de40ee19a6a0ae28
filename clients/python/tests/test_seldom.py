"""Log lines that would be repeated."""

from __future__ import annotations

import logging

import pytest

from splitcache_client.seldom import INTERVAL_S, SeldomLog


def test_logs_the_first_then_one_a_minute_with_a_count(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    seldom = SeldomLog(logging.getLogger("seldom"), lambda: now[0])
    for number in range(3):
        seldom.log(logging.ERROR, "it failed: %d", number)
    now[0] = INTERVAL_S
    for number in range(3, 5):
        seldom.log(logging.ERROR, "it failed: %d", number)
    now[0] = 2 * INTERVAL_S - 1
    seldom.log(logging.ERROR, "it failed: %d", 5)
    assert [one.getMessage() for one in caplog.records] == [
        "it failed: 0",
        "it failed: 3 (2 like it since the last line)",
    ]
