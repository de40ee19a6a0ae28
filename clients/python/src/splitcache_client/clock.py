"""The clock by which the module judges how old something is."""

from __future__ import annotations

import time

# A clock that stands still while the machine is suspended would take what is old for fresh.
_SUSPENDED_COUNTS = getattr(time, "CLOCK_BOOTTIME", None)


def monotonic() -> float:
    """Seconds that never go backwards, suspended ones included where the system counts them."""
    if _SUSPENDED_COUNTS is None:
        return time.monotonic()
    return time.clock_gettime(_SUSPENDED_COUNTS)
