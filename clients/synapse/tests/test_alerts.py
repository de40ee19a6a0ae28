"""The alert rules name metrics that the module has."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client import REGISTRY

import splitcache_synapse.metrics  # noqa: F401

PATH = Path(__file__).parents[1] / "alerts.yml"
README = (Path(__file__).parents[1] / "README.md").read_text()


def rules() -> list[dict[str, str]]:
    (group,) = yaml.safe_load(PATH.read_text())["groups"]
    found: list[dict[str, str]] = group["rules"]
    return found


def names() -> set[str]:
    """Of all metrics, as Prometheus has them."""
    return {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in REGISTRY.collect()
        if family.name.startswith("splitcache_bridge_")
    }


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_each_rule_asks_for_a_metric_that_is_there(rule: dict[str, str]) -> None:
    asked = re.findall(r"splitcache_bridge_\w+", rule["expr"])
    assert asked
    assert set(asked) <= names()


def test_the_readme_lists_each_metric() -> None:
    assert sorted(name for name in names() if f"`{name}" not in README) == []


if shutil.which("promtool"):

    def test_prometheus_takes_the_rules() -> None:
        checked = subprocess.run(
            ["promtool", "check", "rules", str(PATH)], capture_output=True, text=True
        )
        assert checked.returncode == 0, checked.stderr
