"""What the homeserver.yaml of each process says."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SECRET = "shared by the test alone"
# Events that each process keeps in memory.
EVENT_CACHE_SIZE = 200


@dataclass(frozen=True)
class Homeserver:
    """A homeserver whose name is the address at which others reach it."""

    folder: Path
    federation_port: int
    postgres_port: int
    database: str
    sidecar: Path | None
    # Keys of the module's configuration beside the address.
    module: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"127.0.0.1:{self.federation_port}"


def listeners(http: int, metrics: int, *, replication: int | None = None) -> list[dict[str, Any]]:
    found = [_listener(http, "http", ["client", "federation"]), _listener(metrics, "metrics", [])]
    if replication is not None:
        found.append(_listener(replication, "http", ["replication"]))
    return found


def federation_listener(port: int) -> dict[str, Any]:
    return {**_listener(port, "http", ["federation"]), "tls": True}


def homeserver_config(own: Homeserver, own_listeners: list[dict[str, Any]]) -> dict[str, Any]:
    """The part that each process of a homeserver shares."""
    folder = own.folder
    return {
        "server_name": own.name,
        "report_stats": False,
        "signing_key_path": str(folder / f"{own.database}.signing.key"),
        "media_store_path": str(folder / f"{own.database}.media"),
        "pid_file": str(folder / f"{own.database}.pid"),
        "log_config": str(folder / "log.yaml"),
        "registration_shared_secret": SECRET,
        "macaroon_secret_key": SECRET,
        "form_secret": SECRET,
        "suppress_key_server_warning": True,
        "trusted_key_servers": [],
        "tls_certificate_path": str(folder / "certificate.pem"),
        "tls_private_key_path": str(folder / "certificate.key"),
        "federation_verify_certificates": False,
        # The other homeserver is on this machine, and is the only one.
        "ip_range_blacklist": [],
        "enable_metrics": True,
        "listeners": own_listeners,
        "database": database_args(own, own.postgres_port),
        # So few that readers ask the sidecar again.
        "event_cache_size": EVENT_CACHE_SIZE,
        "caches": {
            "global_factor": 1.0,
            # Synapse answers an equal /sync from memory for two minutes otherwise.
            "sync_response_cache_duration": "0s",
        },
        "experimental_features": {"msc4293_enabled": True},
        "redaction_retention_period": "7d",
        "retention": {"enabled": True},
        "modules": modules(own.sidecar, own.module),
        **_unlimited(),
    }


def database_args(own: Homeserver, port: int) -> dict[str, Any]:
    """The homeserver's database, reached by this port."""
    args = {"host": "127.0.0.1", "port": port, "user": "synapse", "dbname": own.database}
    return {"name": "psycopg2", "args": {**args, "cp_min": 1, "cp_max": 5}}


def write_common_files(folder: Path) -> None:
    """The log configuration and the certificate that all processes share."""
    (folder / "log.yaml").write_text(
        "version: 1\n"
        "formatters: {f: {format: '%(asctime)s %(levelname)s %(name)s %(message)s'}}\n"
        "handlers: {h: {class: logging.StreamHandler, formatter: f}}\n"
        "root: {level: INFO, handlers: [h]}\n"
        "loggers: {synapse: {level: WARNING}}\ndisable_existing_loggers: false\n"
    )
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.timezone.utc)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "certificate.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def write(folder: Path, name: str, config: dict[str, Any]) -> None:
    (folder / name).write_text(yaml.safe_dump(config))


def modules(sidecar: Path | None, more: Mapping[str, Any]) -> list[dict[str, Any]]:
    if sidecar is None:
        return []
    config = {"address": f"unix:{sidecar}", **more}
    return [{"module": "splitcache_synapse.SplitcacheModule", "config": config}]


def _listener(port: int, kind: str, resources: list[str]) -> dict[str, Any]:
    listener: dict[str, Any] = {"port": port, "type": kind, "bind_addresses": ["127.0.0.1"]}
    if resources:
        listener["resources"] = [{"names": resources}]
    return listener


def _unlimited() -> dict[str, Any]:
    unlimited = {"per_second": 10_000, "burst_count": 10_000}
    federation = {"window_size": 1, "sleep_limit": 10_000, "concurrent": 100}
    return {
        **dict.fromkeys(("rc_message", "rc_registration", "rc_admin_redaction"), unlimited),
        "rc_login": {"address": unlimited, "account": unlimited, "failed_attempts": unlimited},
        "rc_joins": {"local": unlimited, "remote": unlimited},
        "rc_joins_per_room": unlimited,
        "rc_invites": {"per_room": unlimited, "per_user": unlimited, "per_issuer": unlimited},
        "rc_room_creation": unlimited,
        "rc_federation": {**federation, "reject_limit": 10_000},
    }
