"""Certificates, tokens and auth files, and a sidecar that asks for them."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import grpc

from splitcache_client.channel import Channels, Security
from splitcache_client.gen import event_cache_service_pb2 as pb
from splitcache_client.transport import CHANNEL_OPTIONS, call
from tests.bridge import HOME
from tests.loop_reactor import PATIENCE_S


class Certificate(NamedTuple):
    cert: Path
    key: Path

    def copy_to(self, other: Certificate) -> None:
        shutil.copy(self.cert, other.cert)
        shutil.copy(self.key, other.key)


def make_certificate(
    folder: Path, name: str, names: str, signer: Certificate | None = None
) -> Certificate:
    """`names` as in subjectAltName. Without a signer it signs itself, and may sign others."""
    made = Certificate(folder / f"{name}.crt", folder / f"{name}.key")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"]
    command += ["ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    command += ["-keyout", str(made.key), "-out", str(made.cert)]
    command += ["-subj", f"/CN={name}", "-addext", f"subjectAltName={names}"]
    if signer is not None:
        command += ["-CA", str(signer.cert), "-CAkey", str(signer.key)]
        command += ["-addext", "basicConstraints=critical,CA:FALSE"]
    subprocess.run(command, check=True, capture_output=True)
    return made


class GuardedSidecar:
    """A sidecar with TLS, client certificates and an auth file, all in a folder."""

    def __init__(self, folder: Path, start_sidecar: Callable[..., Any]) -> None:
        self._folder = folder
        self.authority = make_certificate(folder, "authority", "DNS:authority")
        self._auth_file = folder / "auth.yaml"
        server = make_certificate(folder, "server", "DNS:localhost,IP:127.0.0.1", self.authority)
        self._write_clients({"tokens_sha256": ["0" * 64]})
        self._process = start_sidecar(
            *("127.0.0.1:0", "--auth-file", str(self._auth_file)),
            *("--tls-cert-file", str(server.cert), "--tls-key-file", str(server.key)),
            *("--tls-client-ca-file", str(self.authority.cert)),
        )
        self.address: str = self._process.address

    def certificate(self, name: str) -> Certificate:
        """Of a client."""
        return make_certificate(self._folder, name, f"DNS:{name}", self.authority)

    def token_file(self, name: str) -> Path:
        path = self._folder / f"{name}.token"
        path.write_text((name * 64)[:64])
        path.chmod(0o600)
        return path

    def security(
        self, *, certificate: Certificate | None = None, token_file: Path | None = None
    ) -> Security:
        cert, key = certificate or (None, None)
        return Security(
            tls_ca_file=str(self.authority.cert),
            tls_cert_file=cert and str(cert),
            tls_key_file=key and str(key),
            token_file=token_file and str(token_file),
        )

    def admit(self, admitted: Security, refused: Security, **credentials: list[str]) -> None:
        """The homeserver has these credentials, and no others any longer. Returns when they are in
        force."""
        self._write_clients(credentials)
        self._process.reload()
        deadline = time.monotonic() + PATIENCE_S
        while self.answer(admitted) != grpc.StatusCode.OK or self.answer(refused) not in (
            grpc.StatusCode.UNAUTHENTICATED,
            grpc.StatusCode.PERMISSION_DENIED,
        ):
            assert time.monotonic() < deadline, "the auth file did not come into force"

    def answer(self, security: Security) -> grpc.StatusCode:
        """To a call over a connection of its own."""
        with Channels(self.address, security).open(CHANNEL_OPTIONS) as channel:
            try:
                call(channel, "GetEvents")(pb.GetEventsRequest(homeserver=HOME), timeout=5)
            except grpc.RpcError as error:
                code: grpc.StatusCode = error.code()
                return code
            return grpc.StatusCode.OK

    def _write_clients(self, credentials: dict[str, list[str]]) -> None:
        client = {"name": "alpha", "role": "homeserver", "homeservers": [HOME], **credentials}
        # JSON is YAML.
        written = self._folder / "auth.new"
        written.write_text(json.dumps({"clients": [client]}))
        written.replace(self._auth_file)
