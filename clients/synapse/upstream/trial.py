"""Runs trial, notes what came of each test, and switches the bridge on in every homeserver that
Synapse's tests make, if SPLITCACHE_ADDRESS names a sidecar.

The bridge makes its calls at once, since the reactor of those tests is fake, and names no
writers, since their clock is. What a test stores is seen by that test alone: see `_Names`.

Writes to the file that UPSTREAM_OUTCOMES names, a line of JSON each: `{"test": …, "outcome": …}`,
and at the end `{"bridge": {…}}`, what the bridge counted.
"""

from __future__ import annotations

import atexit
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from prometheus_client import REGISTRY
from synapse.server import HomeServer
from twisted.scripts.trial import run
from twisted.trial import unittest
from twisted.trial.reporter import TestResult

from splitcache_synapse import SplitcacheModule

OUTCOMES = {
    "startTest": "unfinished",
    "addSuccess": "passed",
    "addExpectedFailure": "passed",
    "addSkip": "skipped",
    "addUnexpectedSuccess": "failed",
    "addFailure": "failed",
    "addError": "failed",
}


class _Names:
    """What homeservers are called at the sidecar: after the test, and after how many with a
    database of their own the test has made. Workers have the name of the one they belong to."""

    def __init__(self) -> None:
        self._test = ""
        self._databases = 0

    def begin(self, test: str) -> None:
        self._test, self._databases = test, 0

    def of(self, hs: Any) -> str:
        if hs.config.worker.worker_app is None:
            self._databases += 1
        # No name is longer than 255 bytes; none of these comes near.
        return f"{hs.hostname}.{self._databases}.{self._test}"


def switch_on(address: str) -> None:
    names = _Names()
    set_up: Any = HomeServer.setup
    run_test: Any = unittest.TestCase.run

    def then_switch_on(hs: Any) -> None:
        set_up(hs)
        config = SplitcacheModule.parse_config(
            {
                "address": address,
                "transport": "blocking",
                "read_deadline": "5s",
                # It would read in the midst of tests that count reads.
                "audit": "0%",
                "homeserver": names.of(hs),
            }
        )
        # All that it takes of the module API.
        SplitcacheModule(config, SimpleNamespace(_hs=hs))  # type: ignore[arg-type]

    def named(case: Any, result: Any) -> Any:
        names.begin(case.id())
        return run_test(case, result)

    HomeServer.setup = then_switch_on  # type: ignore[assignment, method-assign]
    unittest.TestCase.run = named  # type: ignore[method-assign]


def note_outcomes(path: Path) -> None:
    # Line by line: what is there stays there if the process dies.
    file = path.open("a", buffering=1)

    def note(**line: object) -> None:
        file.write(json.dumps(line) + "\n")

    def noting(method: Any, outcome: str) -> Any:
        def noted(result: Any, test: Any, *args: Any, **kw: Any) -> Any:
            note(test=test.id(), outcome=outcome)
            return method(result, test, *args, **kw)

        return noted

    for name, outcome in OUTCOMES.items():
        setattr(TestResult, name, noting(getattr(TestResult, name), outcome))
    atexit.register(lambda: note(bridge=counted()))


def counted() -> dict[str, float]:
    """What all the bridges of this process counted."""
    found = {"hits": 0.0, "misses": 0.0, "errors": 0.0, "late": 0.0}
    for family in REGISTRY.collect():
        for sample in family.samples:
            if sample.name == "splitcache_bridge_lookups_total":
                found["hits" if sample.labels["result"] == "hit" else "misses"] += sample.value
            elif sample.name == "splitcache_bridge_errors_total":
                found["errors"] += sample.value
            elif sample.name == "splitcache_bridge_announcements_total":
                found["late"] += sample.value * (sample.labels["outcome"] == "late")
    return found


if __name__ == "__main__":
    note_outcomes(Path(os.environ["UPSTREAM_OUTCOMES"]))
    if "SPLITCACHE_ADDRESS" in os.environ:
        switch_on(os.environ["SPLITCACHE_ADDRESS"])
    run()
