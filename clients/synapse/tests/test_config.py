"""What homeserver.yaml may say, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from synapse.config._base import ConfigError

from splitcache_synapse.config import BridgeConfig, parse_config


def test_takes_defaults() -> None:
    config = parse_config({"address": "127.0.0.1:50051"})
    assert config == BridgeConfig(address="127.0.0.1:50051")
    assert config.read_deadline_ms == 20
    assert config.audit_share == 0.001
    assert not config.shadow
    assert config.read_back


def test_takes_every_key() -> None:
    config = parse_config(
        {
            "address": "unix:/run/s.sock",
            "read_deadline": "1s",
            "enabled": False,
            "audit": "12.5%",
            "shadow": True,
            "read_back": False,
        }
    )
    assert config.address == "unix:/run/s.sock"
    assert config.read_deadline_ms == 1000
    assert not config.enabled
    assert config.audit_share == 0.125
    assert config.shadow
    assert not config.read_back


def test_needs_no_address_while_it_is_disabled() -> None:
    assert parse_config({"enabled": False}) == BridgeConfig(address="", enabled=False)


def test_needs_no_files_while_it_is_disabled(tmp_path: Path) -> None:
    gone = {"address": "a:1", "token_file": str(tmp_path / "gone")}
    assert not parse_config({**gone, "enabled": False}).enabled
    with pytest.raises(ConfigError, match="token_file: cannot be read"):
        parse_config(gone)


@pytest.mark.parametrize(("given", "share"), [("0%", 0.0), ("100%", 1.0), ("0.01 %", 0.0001)])
def test_takes_a_share_of_hits(given: str, share: float) -> None:
    assert parse_config({"address": "a:1", "audit": given}).audit_share == share


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (None, "address is required"),
        ({}, "address is required"),
        ({"address": ""}, "address is required"),
        ({"enabled": True}, "address is required"),
        ({"enabled": False, "address": "localhost"}, "neither host:port nor unix:/path"),
        ({"address": 50051}, "address is required"),
        ({"address": "localhost"}, "neither host:port nor unix:/path"),
        ({"address": "localhost:0"}, "neither host:port nor unix:/path"),
        ({"address": "localhost:65536"}, "neither host:port nor unix:/path"),
        ({"address": ":50051"}, "neither host:port nor unix:/path"),
        ({"address": "unix:relative"}, "absolute path"),
        ({"address": "a:1", "read_deadline": 0}, "read_deadline must be 1 to 10000"),
        ({"address": "a:1", "read_deadline": "11s"}, "read_deadline must be 1 to 10000"),
        ({"address": "a:1", "read_deadline": "soon"}, "read_deadline"),
        ({"address": "a:1", "read_deadline": True}, "read_deadline"),
        ({"address": "a:1", "enabled": "no"}, "enabled must be true or false"),
        ({"address": "a:1", "shadow": 1}, "shadow must be true or false"),
        ({"address": "a:1", "read_back": "off"}, "read_back must be true or false"),
        ({"address": "a:1", "audit": 0.1}, "audit must be a percentage, such as 0.1%"),
        ({"address": "a:1", "audit": True}, "audit must be a percentage"),
        ({"address": "a:1", "audit": "0.1"}, "audit must be a percentage"),
        ({"address": "a:1", "audit": "-1%"}, "audit must be a percentage"),
        ({"address": "a:1", "audit": "nan%"}, "audit must be a percentage"),
        ({"address": "a:1", "audit": "1%\n"}, "audit must be a percentage"),
        ({"address": "a:1", "audit": "100.1%"}, "audit must be 0% to 100%"),
        ({"address": "a:1", "transport": "carrier pigeon"}, "transport must be"),
        ({"address": "a:1", "homeserver": ""}, "homeserver must be a name"),
        ({"address": "a:1", "deadline": 5}, "unknown key deadline"),
        ({"address": "a:1", "read_deadline_ms": 5}, "unknown key read_deadline_ms"),
    ],
)
def test_refuses_and_names_the_key(given: dict[str, Any] | None, says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_config(given)
    assert says in str(refused.value)
    assert str(refused.value).startswith("splitcache: ")
