"""How fresh reads are at this moment."""

from __future__ import annotations

import math
from typing import NamedTuple

from splitcache_client.clock import monotonic
from splitcache_client.core import Core
from splitcache_client.outbox_state import RulesState
from splitcache_client.reading import Position


class FreshnessReport(NamedTuple):
    # Whether the sidecar is asked: the gate is open, or there is no outbox and one log.
    is_open: bool
    # Whether the near cache may answer.
    near_is_open: bool
    # Age of the newest proof that the near cache is current; infinite if there is none.
    proof_age_s: float
    # How stale a reply of the sidecar can be at this moment; infinite if it is not known, as
    # without an outbox; 0 while the gate is closed.
    bound_s: float
    # What the stream of changes has applied; None before its first frame.
    position: Position | None
    # Replies came from two sidecars without a common log.
    has_two_logs: bool


def report(core: Core) -> FreshnessReport:
    epoch, sequence = core.near.position
    state = core.rules and RulesState(core.rules, monotonic)
    reader = core.reader
    return FreshnessReport(
        is_open=reader.is_open() if reader else bool(state and state.is_open()),
        near_is_open=core.sidecar.may_use_kept(),
        proof_age_s=monotonic() - core.near.proved_at,
        bound_s=state.bound_s() if state else math.inf,
        position=Position(epoch, sequence) if epoch else None,
        has_two_logs=bool(reader and reader.has_two_logs),
    )
