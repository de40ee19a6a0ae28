"""What homeserver.yaml may say, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from synapse.config._base import ConfigError

from splitcache_synapse.config import BridgeConfig, parse_config


def test_takes_defaults() -> None:
    config = parse_config({"address": "127.0.0.1:50051"})
    assert config == BridgeConfig(address="127.0.0.1:50051")
    assert config.read_deadline_ms == 20


def test_takes_every_key() -> None:
    config = parse_config(
        {
            "address": "unix:/run/s.sock",
            "read_deadline": "1s",
            "enabled": False,
        }
    )
    assert config.address == "unix:/run/s.sock"
    assert config.read_deadline_ms == 1000
    assert not config.enabled


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (None, "address is required"),
        ({}, "address is required"),
        ({"address": ""}, "address is required"),
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
