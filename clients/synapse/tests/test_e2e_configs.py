"""Synapse reads what the end-to-end test writes into homeserver.yaml."""

from __future__ import annotations

from pathlib import Path

from synapse.config.homeserver import HomeServerConfig

from e2e.configs import EVENT_CACHE_SIZE, Homeserver, homeserver_config, modules


def test_the_cache_of_events_is_small(tmp_path: Path) -> None:
    own = Homeserver(tmp_path, 1, 2, "synapse", None)
    given = homeserver_config(own, [])
    # These name files that are made later.
    for key in ("signing_key_path", "tls_certificate_path", "tls_private_key_path", "log_config"):
        del given[key]
    given["signing_key"] = "ed25519 a_lPym qvioDNmfExFBRPgdTU+wtFYKq4JfwFRv7sYVgWvmgJg"
    config = HomeServerConfig()
    config.parse_config_dict(given, "", "")
    assert config.caches.event_cache_size == EVENT_CACHE_SIZE == 200


def test_lookups_have_the_default_deadline(tmp_path: Path) -> None:
    (module,) = modules(tmp_path / "sidecar.sock", {})
    assert "read_deadline" not in module["config"]
