"""What homeserver.yaml says of the module."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from synapse.config._base import Config as SynapseConfig
from synapse.config._base import ConfigError

from splitcache_client.certificates import CertificateError
from splitcache_client.channel import (
    NO_SECURITY,
    Security,
    certificate_files,
    sends_cleartext_token,
)

Transport = Literal["grpc", "blocking"]


@dataclass(frozen=True)
class BridgeConfig:
    """The module's configuration; see the README for what each key means."""

    # Empty: the module is disabled.
    address: str
    read_deadline_ms: int = 20
    enabled: bool = True
    homeserver: str | None = None
    transport: Transport = "grpc"
    # Of hits that are read from the database as well: 0 to 1.
    audit_share: float = 0.001
    shadow: bool = False
    # Whether new events are put when they are stored, and not by their first read.
    read_back: bool = True
    security: Security = NO_SECURITY


def parse_config(config: Mapping[str, Any] | None) -> BridgeConfig:
    """Reads the `config` of the `modules` entry.

    Raises:
        ConfigError: names the first key that is unknown, missing or not of its form.
    """
    given = dict(config or {})
    unknown = sorted(given.keys() - _NAMES - _DURATIONS.keys() - _SECURITY)
    if unknown:
        raise ConfigError(f"splitcache: unknown key {unknown[0]}")
    # Nobody is called while it is disabled, so the address and the files may be gone.
    is_used = given.get("enabled", True) is not False
    needs_address = is_used or "address" in given
    values: dict[str, Any] = {
        "address": _address(given.get("address")) if needs_address else "",
        "enabled": given.get("enabled", True),
        "homeserver": given.get("homeserver"),
        "transport": given.get("transport", "grpc"),
        "shadow": given.get("shadow", False),
        "read_back": given.get("read_back", True),
    }
    if values["transport"] not in ("grpc", "blocking"):
        raise ConfigError("splitcache: transport must be grpc or blocking")
    for key in _FLAGS:
        if not isinstance(given.get(key, False), bool):
            raise ConfigError(f"splitcache: {key} must be true or false")
    if "audit" in given:
        values["audit_share"] = _share("audit", given["audit"])
    homeserver = values["homeserver"]
    if homeserver is not None and (not isinstance(homeserver, str) or not homeserver):
        raise ConfigError("splitcache: homeserver must be a name")
    for key, (field, least, most) in _DURATIONS.items():
        if key in given:
            values[field] = _duration_ms(key, given[key], least, most)
    security = _security(given, is_used)
    if is_used and not given.get("allow_cleartext_token", False):
        _refuse_cleartext_token(values["address"], security)
    return BridgeConfig(**values, security=security)


def _security(given: Mapping[str, Any], is_used: bool) -> Security:
    values = {key: given[key] for key in _SECURITY if key in given}
    for key, value in values.items():
        if not isinstance(value, str) or not value:
            raise ConfigError(f"splitcache: {key} must be text")
        if is_used and key.endswith("_file") and not os.access(value, os.R_OK):
            raise ConfigError(f"splitcache: {key}: cannot be read: {value}")
    if ("tls_cert_file" in values) != ("tls_key_file" in values):
        raise ConfigError("splitcache: tls_cert_file and tls_key_file: give both or neither")
    security = Security(**values, tls=given.get("tls", False))
    if given.get("tls") is False and security.uses_tls:
        raise ConfigError("splitcache: tls: false contradicts the other keys that begin with tls_")
    if is_used:
        try:
            certificate_files(security)
        except CertificateError as error:
            raise ConfigError(f"splitcache: {error}") from error
    return security


def _refuse_cleartext_token(address: str, security: Security) -> None:
    if not sends_cleartext_token(address, security):
        return
    raise ConfigError(
        f"splitcache: token_file: the token would be sent to {address} without TLS, readable for "
        "anybody on the network: set tls: true, tls_ca_file or tls_server_name, or, if the network "
        "is encrypted otherwise, allow_cleartext_token: true"
    )


_SECURITY = frozenset(field.name for field in fields(Security)) - {"tls"}
_FLAGS = ("enabled", "shadow", "read_back", "tls", "allow_cleartext_token")
_NAMES = frozenset({"address", "homeserver", "transport", "audit", *_FLAGS})
_PERCENTAGE = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,9})?\s?%")
# Key in the file -> field, least and most milliseconds.
_DURATIONS = {
    "read_deadline": ("read_deadline_ms", 1, 10_000),
}


def _duration_ms(key: str, value: object, least: int, most: int) -> int:
    try:
        milliseconds = SynapseConfig.parse_duration(value)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise ConfigError(f"splitcache: {key}: {error}") from error
    if not least <= milliseconds <= most:
        raise ConfigError(f"splitcache: {key} must be {least} to {most} milliseconds")
    return milliseconds


def _share(key: str, value: object) -> float:
    if not isinstance(value, str) or not _PERCENTAGE.fullmatch(value):
        raise ConfigError(f"splitcache: {key} must be a percentage, such as 0.1%")
    percent = float(value.removesuffix("%"))
    if percent > 100:
        raise ConfigError(f"splitcache: {key} must be 0% to 100%")
    return percent / 100


def _address(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ConfigError("splitcache: address is required: host:port or unix:/path")
    if value.startswith("unix:"):
        if not value.startswith("unix:/"):
            raise ConfigError("splitcache: address: unix: needs an absolute path")
        return value
    host, colon, port = value.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ConfigError(f"splitcache: address: neither host:port nor unix:/path: {value}")
    return value
