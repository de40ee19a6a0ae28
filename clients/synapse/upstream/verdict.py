"""Whether a run of Synapse's tests is good."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# The worst counts: a test that passed may fail yet when it is cleaned up.
_WORSE = ("passed", "skipped", "unfinished", "failed")


@dataclass
class Run:
    # Test -> passed, skipped, failed or unfinished: its process ended before it did.
    outcomes: dict[str, str] = field(default_factory=dict)
    # What the bridge counted: hits, misses, errors, late announcements.
    bridge: Counter[str] = field(default_factory=Counter)
    # What went wrong beside tests, a sentence each.
    errors: list[str] = field(default_factory=list)

    def read(self, path: Path) -> int:
        """Adds what one process of trial.py wrote there; how many of its tests failed."""
        if not path.exists():
            return 0
        of_process: dict[str, list[str]] = {}
        for line in path.read_text().splitlines():
            noted = json.loads(line)
            if "bridge" in noted:
                self.bridge.update(noted["bridge"])
            else:
                of_process.setdefault(noted["test"], []).append(noted["outcome"])
        for test, found in of_process.items():
            ended = [one for one in found if one != "unfinished"]
            self.outcomes[test] = max(ended or found, key=_WORSE.index)
        return sum(self.outcomes[test] == "failed" for test in of_process)

    def with_outcome(self, *outcomes: str) -> set[str]:
        return {test for test, outcome in self.outcomes.items() if outcome in outcomes}


def expected_failures(path: Path) -> dict[str, str]:
    """Test -> why it fails with a cache.

    Raises:
        ValueError: a test is listed without a reason.
    """
    with path.open("rb") as file:
        reasons = dict(tomllib.load(file)["reasons"])
    for test, reason in reasons.items():
        if not isinstance(reason, str) or not reason.strip():
            raise ValueError(f"{path.name}: {test} has no reason")
    return reasons


def report(
    run: Run, suites: Sequence[str], expected: dict[str, str], *, whole: bool, bridge: bool
) -> int:
    """Prints the verdict; 0 if it is good, else 1."""
    failed = run.with_outcome("failed", "unfinished")
    for suite in suites:
        print(f"{suite}: {_counts(run, suite)}")
    for test in sorted(failed & expected.keys()):
        print(f"fails as expected: {test}: {expected[test]}")
    bad = [f"{test}: {run.outcomes[test]}" for test in sorted(failed - expected.keys())]
    bad += _not_failing(run, expected, whole)
    bad += run.errors
    bad += [f"{suite}: no test ran" for suite in suites if not _of_suite(run, suite)]
    if bridge:
        bad += _bridge_errors(run.bridge, whole)
    for line in bad:
        print(f"FAILED: {line}")
    print(f"skipped by Synapse itself: {len(run.with_outcome('skipped'))}")
    print(f"{len(run.with_outcome('passed'))} passed, {len(bad)} failed")
    return 1 if bad else 0


def _not_failing(run: Run, expected: Iterable[str], whole: bool) -> list[str]:
    found = {test: run.outcomes.get(test, "did not run") for test in sorted(expected)}
    wrong = ("passed", "did not run") if whole else ("passed",)
    return [f"{test}: listed as failing: {was}" for test, was in found.items() if was in wrong]


def _bridge_errors(counted: Counter[str], whole: bool) -> list[str]:
    """The bridge fails open: without these, tests would pass with a bridge that does nothing."""
    print("bridge: " + ", ".join(f"{number:.0f} {name}" for name, number in counted.items()))
    errors = [f"{counted[name]:.0f} calls: {name}" for name in ("errors", "late")]
    bad = [line for line in errors if not line.startswith("0 ")]
    if whole and not counted["hits"]:
        bad.append("nothing was read from the sidecar")
    return bad


def _of_suite(run: Run, suite: str) -> dict[str, str]:
    return {
        test: outcome
        for test, outcome in run.outcomes.items()
        if test == suite or test.startswith(f"{suite}.")
    }


def _counts(run: Run, suite: str) -> str:
    counts = Counter(_of_suite(run, suite).values())
    return ", ".join(f"{counts[outcome]} {outcome}" for outcome in _WORSE if counts[outcome])
