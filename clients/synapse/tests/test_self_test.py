"""Events make the way into the sidecar and back, or the release is not supported."""

from __future__ import annotations

from typing import Any

import pytest

from splitcache_synapse import entry, self_test, stored_event
from splitcache_synapse.self_test import broken_events


def test_events_survive_in_this_release() -> None:
    assert broken_events() == []


def test_names_what_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    own_facts = stored_event.own_facts

    def forgetful(encoded: bytes) -> Any:
        facts = own_facts(encoded)
        assert facts is not None
        return facts._replace(unsigned={}, age_ts=(), outlier=False)

    monkeypatch.setattr(stored_event, "own_facts", forgetful)
    found = broken_events()
    assert len(found) == 2
    for name in ("event.unsigned", "age_ts", "internal_metadata.outlier"):
        assert name in found[0]


def test_an_event_that_cannot_be_kept_is_named_and_nothing_is_raised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in Synapse 1.154.0, whose events give their content in a form that is no JSON."""

    def encode(value: Any) -> bytes:
        raise TypeError("Object of type JsonObject is not JSON serializable")

    monkeypatch.setattr(stored_event, "_encode", encode)
    assert "JsonObject is not JSON serializable" in broken_events()[0]


def test_a_redaction_that_is_lost_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_test, "from_cached", lambda cached: None)
    assert "stored" in broken_events()[0]


def test_a_release_in_which_events_are_lost_is_not_supported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(self_test, "broken_events", lambda: ["an event is lost"])
    entry.unknown_parts.cache_clear()
    try:
        assert entry.unknown_parts() == ("an event is lost",)
    finally:
        entry.unknown_parts.cache_clear()
