"""Runs trial with the bridge switched on in every homeserver that Synapse's tests make.

The bridge makes its calls at once, since the reactor of those tests is fake, and names no
writers, since their clock is. Each test's homeserver has a name of its own at the sidecar.
"""

from __future__ import annotations

import atexit
import os
from types import SimpleNamespace
from typing import Any

from prometheus_client import REGISTRY
from synapse.server import HomeServer
from twisted.scripts.trial import run
from twisted.trial import unittest

from splitcache_synapse import SplitcacheModule

ADDRESS = os.environ["SPLITCACHE_ADDRESS"]

_running = ""


def switch_on() -> None:
    set_up: Any = HomeServer.setup
    run_test: Any = unittest.TestCase.run

    def then_switch_on(hs: Any) -> None:
        set_up(hs)
        config = SplitcacheModule.parse_config(
            {
                "address": ADDRESS,
                "transport": "blocking",
                "read_deadline": "5s",
                "homeserver": f"{_running}.{hs.hostname}"[-255:],
            }
        )
        # All that it takes of the module API.
        SplitcacheModule(config, SimpleNamespace(_hs=hs))  # type: ignore[arg-type]

    def named(case: Any, result: Any) -> Any:
        global _running
        _running = case.id()
        return run_test(case, result)

    HomeServer.setup = then_switch_on  # type: ignore[method-assign]
    unittest.TestCase.run = named  # type: ignore[method-assign]


def say_what_was_read() -> None:
    found = {"hit": 0.0, "miss": 0.0}
    for family in REGISTRY.collect():
        for sample in family.samples:
            if sample.name == "splitcache_bridge_lookups_total":
                found[sample.labels["result"]] += sample.value
    print(f"bridge: {found['hit']:.0f} hits, {found['miss']:.0f} misses", flush=True)


if __name__ == "__main__":
    atexit.register(say_what_was_read)
    switch_on()
    run()
