"""What the module does beside a Synapse that it does not support: nothing, and says so."""

from __future__ import annotations

import logging
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import REGISTRY

from splitcache_synapse import SplitcacheModule, bystander, entry

CONFIG = SplitcacheModule.parse_config({"address": "unix:/nobody.sock"})
CHANGED = "synapse.storage.x: Store.read is not as in any known release (0123)"


class Api:
    """Of a homeserver in which nothing may be touched."""

    def __init__(self, name: str) -> None:
        self._hs = SimpleNamespace(hostname=name)


def active(name: str) -> float | None:
    return REGISTRY.get_sample_value("splitcache_bridge_active", {"server_name": name})


@pytest.fixture
def unsupported(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The homeservers for which it stands by."""
    stood_by: list[Any] = []
    monkeypatch.setattr(entry, "unknown_parts", lambda: (CHANGED,))
    monkeypatch.setattr(bystander, "stand_by", stood_by.append)
    return stood_by


def test_names_what_changed_and_that_the_database_is_read(
    unsupported: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    api = Api("unknown.example")
    module = SplitcacheModule(CONFIG, api)  # type: ignore[arg-type]
    assert module.bridge is None
    assert unsupported == [api._hs]
    errors = [one.getMessage() for one in caplog.records if one.levelno == logging.ERROR]
    assert CHANGED in errors[0]
    assert "read from the database only" in errors[1]
    assert active("unknown.example") == 0


def test_synapse_starts_though_the_outbox_cannot_be_reached(
    unsupported: list[Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(hs: Any) -> None:
        raise RuntimeError("no database")

    monkeypatch.setattr(bystander, "stand_by", refused)
    assert SplitcacheModule(CONFIG, Api("cut-off.example")).bridge is None  # type: ignore[arg-type]
    assert "splitcache purge-homeserver" in caplog.text


def test_switched_off_it_looks_at_nothing(unsupported: list[Any]) -> None:
    off = SplitcacheModule.parse_config({"address": "unix:/nobody.sock", "enabled": False})
    assert SplitcacheModule(off, Api("off.example")).bridge is None  # type: ignore[arg-type]
    assert len(unsupported) == 1
    assert active("off.example") is None


def test_is_imported_without_what_a_release_may_have_moved() -> None:
    """Else Synapse would not start beside such a release."""
    script = (
        "import sys, splitcache_synapse\n"
        "print([name for name in sys.modules if name.startswith('synapse.storage')"
        " or name == 'splitcache_synapse.module'])"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert said.stdout == "[]\n", said.stderr
