"""What a client is connected with, checked at the edge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from splitcache_client.channel import NO_SECURITY, Security, sends_cleartext_token
from splitcache_client.gen import event_cache_service_pb2 as pb
from splitcache_client.metrics import ClientMetrics, Counters
from splitcache_client.outbox_database import OutboxDatabase

# Limits of the contract.
HOMESERVER_BYTES_MAX = 255
SUBSCRIBER_BYTES_MAX = 255
NEAR_BYTES_MAX = 2**36
# IDs of one call.
IDS_MAX = 100_000
TIMEOUT_MAX_S = 600.0


class View(Enum):
    """Which form of a redacted event is read."""

    REDACTED = pb.REDACTION_VIEW_REDACTED
    ORIGINAL = pb.REDACTION_VIEW_ORIGINAL


@dataclass(frozen=True, kw_only=True)
class Options:
    """Raises ValueError, which names the field and its limit."""

    # host:port or unix:/path
    address: str
    homeserver: str
    # Credentials: TLS files and a token file.
    security: Security = NO_SECURITY
    # A token without TLS over a network is refused otherwise.
    allow_cleartext_token: bool = False
    # Bound of the near cache; 0: none is kept.
    near_bytes_max: int = 64 * 1024 * 1024
    view: View = View.REDACTED
    # The database of a client that changes events. None: the client reads, and fills nothing.
    database: OutboxDatabase | None = None
    # The generation of the database that `fetch` reads, if that is not `database`.
    read_generation: Callable[[], str] | None = None
    # Names this process in the sidecar's log.
    subscriber: str = "python"
    # Of one request, of 100 events at most.
    read_deadline_s: float = 0.2
    metrics: ClientMetrics = field(default_factory=Counters)

    def __post_init__(self) -> None:
        _check_address(self.address)
        _check_text("homeserver", self.homeserver, 1, HOMESERVER_BYTES_MAX)
        _check_text("subscriber", self.subscriber, 0, SUBSCRIBER_BYTES_MAX)
        if not 0 <= self.near_bytes_max <= NEAR_BYTES_MAX:
            raise ValueError(f"near_bytes_max must be 0 to {NEAR_BYTES_MAX}")
        if (self.security.tls_cert_file is None) != (self.security.tls_key_file is None):
            raise ValueError("security: tls_cert_file and tls_key_file: give both or neither")
        if not self.allow_cleartext_token and sends_cleartext_token(self.address, self.security):
            raise ValueError(
                "security: token_file: the token would be sent without TLS: set tls, or, if the "
                "network is encrypted otherwise, allow_cleartext_token"
            )
        check_timeout("read_deadline_s", self.read_deadline_s)


def check_timeout(name: str, seconds: float) -> float:
    if not 0 < seconds <= TIMEOUT_MAX_S:
        raise ValueError(f"{name} must be above 0 and at most {TIMEOUT_MAX_S:.0f} seconds")
    return seconds


def _check_text(name: str, value: str, least: int, most: int) -> None:
    if not isinstance(value, str) or not least <= len(value.encode()) <= most:
        raise ValueError(f"{name} must be text of {least} to {most} bytes")


def _check_address(value: str) -> None:
    text = "address must be host:port or unix:/path"
    if not isinstance(value, str):
        raise ValueError(text)
    if value.startswith("unix:"):
        if not value.startswith("unix:/"):
            raise ValueError(f"{text}: unix: needs an absolute path")
        return
    host, _, port = value.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ValueError(text)
