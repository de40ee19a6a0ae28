"""The certificate files of the configuration, read again while the process runs."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509 import load_pem_x509_certificates

logger = logging.getLogger(__name__)

# How soon certificates that were replaced in their files are used.
CERTIFICATES_AGE_MAX_S = 5.0


class CertificateError(Exception):
    """Names the option, the file and what is wrong with it."""


class Certificates(NamedTuple):
    """The arguments of grpc.ssl_channel_credentials; None where the configuration names no file."""

    root_certificates: bytes | None
    private_key: bytes | None
    certificate_chain: bytes | None


class CertificateFiles:
    """Files that are read again every few seconds. While they are wrong, the last ones that were
    right are used. For any thread."""

    def __init__(
        self,
        ca_file: str | None,
        cert_file: str | None,
        key_file: str | None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Reads them.

        Raises:
            CertificateError: a file is wrong.
        """
        self._ca_file = ca_file
        self._cert_file = cert_file
        self._key_file = key_file
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._current = self._last_read = self._read()
        check(self._current)
        self._read_at = monotonic()
        self._problem: str | None = None

    def current(self) -> Certificates:
        """Another object than the last time if the files have changed."""
        with self._lock:
            now = self._monotonic()
            if now - self._read_at >= CERTIFICATES_AGE_MAX_S:
                self._read_at = now
                self._reload()
            return self._current

    def _reload(self) -> None:
        try:
            found = self._read()
            if found == self._last_read:
                # A file may have been unreadable in between.
                self._problem = None if found == self._current else self._problem
                return
            self._last_read = found
            check(found)
        except CertificateError as error:
            if str(error) != self._problem:
                logger.error("splitcache: %s; the previous certificates stay in use", error)
            self._problem = str(error)
            return
        self._problem = None
        if found != self._current:
            self._current = found
            logger.info("splitcache: the certificates were read again")

    def _read(self) -> Certificates:
        return Certificates(
            _read("tls_ca_file", self._ca_file),
            _read("tls_key_file", self._key_file),
            _read("tls_cert_file", self._cert_file),
        )


def check(certificates: Certificates) -> None:
    """Whether gRPC can use them. It would only say so when it connects.

    Raises:
        CertificateError: they cannot be parsed, or the key does not belong to the certificate.
    """
    if certificates.root_certificates is not None:
        _parse_chain("tls_ca_file", certificates.root_certificates)
    if certificates.certificate_chain is None or certificates.private_key is None:
        return
    of_certificate = _parse_chain("tls_cert_file", certificates.certificate_chain)
    if of_certificate != _parse_key(certificates.private_key):
        raise CertificateError("tls_key_file: is not the key of the certificate in tls_cert_file")


def _parse_chain(option: str, pem: bytes) -> bytes:
    """The public key of the first certificate."""
    try:
        chain = load_pem_x509_certificates(pem)
        return chain[0].public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateError(f"{option}: must hold certificates in PEM") from error


def _parse_key(pem: bytes) -> bytes:
    """Its public half."""
    try:
        key = load_pem_private_key(pem, None)
        return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        # A TypeError: it has a passphrase.
        text = "tls_key_file: must hold a private key in PEM, without a passphrase"
        raise CertificateError(text) from error


def _read(option: str, path: str | None) -> bytes | None:
    try:
        return None if path is None else Path(path).read_bytes()
    except OSError as error:
        raise CertificateError(f"{option}: cannot be read: {path}: {error.strerror}") from error
