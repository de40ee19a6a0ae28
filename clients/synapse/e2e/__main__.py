"""Drives a real homeserver with the bridge, and compares all it says with its database.

    python -m e2e                  every scenario, then the figures
    python -m e2e --short          every scenario
    python -m e2e NAME …           the scenarios named
    python -m e2e figures PART …   the figures, or these parts of them (--help)

Needs PostgreSQL, redis-server, Node with a built sidecar, and Synapse in this Python.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
import traceback

from .client import User
from .cluster import SYNAPSE, Cluster
from .compare import Comparison
from .drop import Drop
from .faults import Faults
from .figures import main as figures
from .life import Life
from .metrics import AUDITS, LOOKUPS, count
from .operations import Operations


def main() -> int:
    # So that whoever ends the test leaves no process behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if sys.argv[1:2] == ["figures"]:
        return figures(sys.argv[2:])
    parser = argparse.ArgumentParser(prog="python -m e2e")
    parser.add_argument("--short", action="store_true", help="leave the figures out")
    parser.add_argument("--without-bridge", action="store_true", help="test the test")
    parser.add_argument("scenarios", nargs="*")
    options = parser.parse_args()
    passed, failed = run_scenarios(options.scenarios, bridge=not options.without_bridge)
    if not options.short and not options.scenarios:
        figures([])
    print(f"\n{passed} passed, {failed} failed")
    return 1 if failed else 0


def run_scenarios(names: list[str], *, bridge: bool) -> tuple[int, int]:
    """The last ones need a cluster of their own, whose sidecar keeps what it knows."""
    passed = failed = 0
    for parts, durable in (((Life, Faults, Operations), False), ((Drop,), True)):
        of_these = run_in_one_cluster(parts, names, bridge=bridge, durable=durable)
        passed += of_these[0]
        failed += of_these[1]
    return passed, failed


def run_in_one_cluster(
    parts: tuple[type[Life | Faults | Operations | Drop], ...],
    names: list[str],
    *,
    bridge: bool,
    durable: bool,
) -> tuple[int, int]:
    if names and not any(hasattr(part, name) for part in parts for name in names):
        return 0, 0
    passed = failed = 0
    cluster = Cluster(bridge=bridge, durable=durable)
    try:
        cluster.start()
        comparison = Comparison(cluster)
        alice = User(cluster.ports["main"], "alice", admin=True)
        bob = User(cluster.ports["main"], "bob")
        every = [one for part in parts for one in part(cluster, comparison, alice, bob).all()]
        for scenario in every:
            if names and scenario.__name__ not in names:
                continue
            if run_one(scenario.__name__, scenario, comparison, cluster):
                passed += 1
            else:
                failed += 1
        failed += report(cluster, comparison)
    finally:
        cluster.stop()
    return passed, failed


def report(cluster: Cluster, comparison: Comparison) -> int:
    """How many things are wrong beside what the scenarios have shown."""
    failed = 0
    hits = count(cluster, LOOKUPS, SYNAPSE, 'result="hit"')
    kinds = ", ".join(f"{kind} {number}" for kind, number in comparison.compared.items())
    total = sum(comparison.compared.values())
    print(f"{total} reads compared ({kinds}); {len(comparison.differences)} differ; ", end="")
    print(f"hits of what still runs: {hits:.0f}")
    audited = count(cluster, AUDITS, SYNAPSE, 'outcome="same"')
    different = count(cluster, AUDITS, SYNAPSE, 'outcome="different"')
    print(f"audits of what still runs: {audited:.0f} the same, {different:.0f} different")
    if cluster.bridge and (different or (audited == 0 and cluster.audit != "0%")):
        print("FAILED: nothing was audited, or a read was wrong")
        failed += 1
    for line in (line for name in SYNAPSE for line in cluster.processes[name].defects()):
        print(f"FAILED: in a log: {line}")
        failed += 1
    if cluster.bridge and (hits == 0 or not comparison.compared.get("sidecar")):
        print("FAILED: nothing was ever read from the sidecar")
        failed += 1
    return failed


def run_one(name: str, scenario: object, comparison: Comparison, cluster: Cluster) -> bool:
    started = time.monotonic()
    before = len(comparison.differences)
    try:
        scenario()  # type: ignore[operator]
    except Exception:
        traceback.print_exc()
        for process in cluster.processes:
            print(f"--- {process}\n{cluster.processes[process].tail()}")
        return False
    differences = comparison.differences[before:]
    for difference in differences[:10]:
        print(difference)
    verdict = "ok" if not differences else f"{len(differences)} differences"
    print(f"{name}: {verdict}, {time.monotonic() - started:.1f} s", flush=True)
    return not differences


if __name__ == "__main__":
    sys.exit(main())
