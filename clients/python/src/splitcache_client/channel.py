"""Connections to the sidecar: cleartext or TLS, with or without a token."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple

import grpc

from splitcache_client.certificates import CertificateFiles, Certificates

logger = logging.getLogger(__name__)

# How soon a token that was replaced in its file is used.
TOKEN_AGE_MAX_S = 5.0


@dataclass(frozen=True)
class Security:
    """What the configuration says of credentials; None where it names no file."""

    tls_ca_file: str | None = None
    tls_cert_file: str | None = None
    tls_key_file: str | None = None
    tls_server_name: str | None = None
    token_file: str | None = None
    # TLS also without any of the files and names.
    tls: bool = False

    @property
    def uses_tls(self) -> bool:
        return self.tls or any((self.tls_ca_file, self.tls_cert_file, self.tls_server_name))


NO_SECURITY = Security()


def sends_cleartext_token(address: str, security: Security) -> bool:
    """Whether anybody on the network could read the token."""
    return security.token_file is not None and not security.uses_tls and not _is_local(address)


def _is_local(address: str) -> bool:
    """Whether what is sent there does not leave this host."""
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].removeprefix("[").removesuffix("]")
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def certificate_files(
    security: Security, monotonic: Callable[[], float] = time.monotonic
) -> CertificateFiles:
    """Reads the certificates.

    Raises:
        CertificateError: a file of the configuration is wrong.
    """
    return CertificateFiles(
        security.tls_ca_file, security.tls_cert_file, security.tls_key_file, monotonic
    )


class Channels:
    """Opens channels to one sidecar. For any thread."""

    def __init__(
        self,
        address: str,
        security: Security = NO_SECURITY,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Reads the certificates.

        Raises:
            CertificateError: a file of the configuration is wrong.
        """
        self.address = address
        self._security = security
        self._files = certificate_files(security, monotonic)
        self._token = security.token_file and TokenFile(security.token_file, monotonic)

    def certificates(self) -> Certificates:
        """With which a channel is opened now. gRPC reads them no second time, so that a channel
        that was opened with others is to be replaced."""
        return self._files.current()

    def open(self, options: list[tuple[str, Any]]) -> grpc.Channel:
        """Connects with the first call."""
        channel = self._open(options)
        if not self._token:
            return channel
        return grpc.intercept_channel(channel, _SendToken(self._token))

    def _open(self, options: list[tuple[str, Any]]) -> grpc.Channel:
        if not self._security.uses_tls:
            return grpc.insecure_channel(self.address, options=options)
        if self._security.tls_server_name:
            name = ("grpc.ssl_target_name_override", self._security.tls_server_name)
            options = [*options, name]
        credentials = grpc.ssl_channel_credentials(**self._files.current()._asdict())
        return grpc.secure_channel(self.address, credentials, options=options)


class TokenFile:
    """A token that is read again every few seconds. While its file is wrong, the last one is
    used."""

    def __init__(self, path: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._token: str | None = None
        self._read_at: float | None = None
        self._problem: str | None = None

    def token(self) -> str | None:
        """None if there has not been one yet."""
        with self._lock:
            now = self._monotonic()
            if self._read_at is None or now - self._read_at >= TOKEN_AGE_MAX_S:
                self._read_at = now
                self._token = self._read() or self._token
            return self._token

    def _read(self) -> str | None:
        try:
            token = Path(self._path).read_text("ascii").strip()
        except (OSError, ValueError) as error:
            self._failed(type(error).__name__)
            return None
        if not token or any(character.isspace() for character in token):
            self._failed("must hold one token")
            return None
        self._problem = None
        return token

    def _failed(self, problem: str) -> None:
        # Once: it is tried again every few seconds.
        if problem != self._problem:
            logger.error("splitcache: token_file %s: %s", self._path, problem)
        self._problem = problem


class _CallDetails(NamedTuple):
    method: str
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


class _SendToken(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    def __init__(self, file: TokenFile) -> None:
        self._file = file

    def _intercept(self, continuation: Any, details: Any, request: Any) -> Any:
        token = self._file.token()
        if token is None:
            # The sidecar answers UNAUTHENTICATED, which is counted like any failure.
            return continuation(details, request)
        metadata = [*(details.metadata or ()), ("authorization", f"Bearer {token}")]
        sent = _CallDetails(
            details.method,
            details.timeout,
            metadata,
            details.credentials,
            getattr(details, "wait_for_ready", None),
            getattr(details, "compression", None),
        )
        return continuation(sent, request)

    def intercept_unary_unary(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        return self._intercept(continuation, client_call_details, request)

    def intercept_unary_stream(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        return self._intercept(continuation, client_call_details, request)

    def intercept_stream_stream(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        return self._intercept(continuation, client_call_details, request_iterator)
