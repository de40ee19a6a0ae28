"""Polls of the outbox as tests make them up."""

from __future__ import annotations

from typing import Any

from splitcache_client.outbox_poll import Poll
from splitcache_client.outbox_rules import OutboxRules

E1, E2, E3 = b"1" * 16, b"2" * 16, b"3" * 16


def poll(at: float, *rows: str, **more: Any) -> Poll:
    """A poll that was sent at that time, and answered a moment later."""
    shown: dict[str, Any] = {
        "answered_at": at + 0.1,
        "epoch": E1,
        "generation": "g",
        "recorded_generation": "g",
        "counter": 0,
        "heard": 0,
    }
    return Poll(sent_at=at, rows=rows, **{**shown, **more})


def polled(*polls: Poll) -> OutboxRules:
    """The rules of a process that has polled so."""
    rules = OutboxRules()
    for one in polls:
        rules.polled(one)
    return rules
