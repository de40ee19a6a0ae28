"""How the module shows the sidecar who it is."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from synapse.config._base import ConfigError

from splitcache_client.channel import TOKEN_AGE_MAX_S, Channels, Security, TokenFile
from splitcache_client.gen import event_cache_service_pb2 as pb
from splitcache_client.transport import CHANNEL_OPTIONS, call
from splitcache_synapse.config import parse_config
from tests.guarded_sidecar import make_certificate


class _Sees(grpc.GenericRpcHandler):  # type: ignore[misc]
    def __init__(self) -> None:
        self.authorizations: list[str | None] = []

    def service(self, details: Any) -> Any:
        self.authorizations.append(dict(details.invocation_metadata).get("authorization"))
        return grpc.unary_unary_rpc_method_handler(
            lambda _request, _context: pb.GetEventsResponse(),
            request_deserializer=pb.GetEventsRequest.FromString,
            response_serializer=pb.GetEventsResponse.SerializeToString,
        )


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    made = make_certificate(tmp_path, "sidecar", "DNS:sidecar.internal")
    return made.cert, made.key


@pytest.fixture
def sees() -> _Sees:
    return _Sees()


@pytest.fixture
def tls_port(certificate: tuple[Path, Path], sees: _Sees) -> Iterator[int]:
    server = grpc.server(ThreadPoolExecutor(2), handlers=[sees])
    cert, key = (path.read_bytes() for path in certificate)
    credentials = grpc.ssl_server_credentials([(key, cert)], cert, require_client_auth=True)
    yield _listen(server, credentials)
    server.stop(None).wait()


def _listen(server: Any, credentials: Any) -> int:
    port: int = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    return port


def test_speaks_tls_with_a_certificate_and_a_token(
    tmp_path: Path, certificate: tuple[Path, Path], tls_port: int, sees: _Sees
) -> None:
    cert, key = map(str, certificate)
    token = tmp_path / "token"
    token.write_text("secret\n")
    security = Security(cert, cert, key, "sidecar.internal", str(token))
    with Channels(f"127.0.0.1:{tls_port}", security).open(CHANNEL_OPTIONS) as channel:
        call(channel, "GetEvents")(pb.GetEventsRequest(), timeout=5)
        call(channel, "GetEvents").future(pb.GetEventsRequest(), timeout=5).result()
    assert sees.authorizations == ["Bearer secret", "Bearer secret"]


def test_does_not_talk_to_a_sidecar_of_another_name(
    certificate: tuple[Path, Path], tls_port: int, sees: _Sees
) -> None:
    cert, key = map(str, certificate)
    channels = Channels(f"127.0.0.1:{tls_port}", Security(cert, cert, key, "other"))
    with channels.open(CHANNEL_OPTIONS) as channel, pytest.raises(grpc.RpcError) as raised:
        call(channel, "GetEvents")(pb.GetEventsRequest(), timeout=5)
    assert raised.value.code() == grpc.StatusCode.UNAVAILABLE
    assert sees.authorizations == []


def test_reads_the_token_again_and_keeps_the_last_good_one(tmp_path: Path) -> None:
    path, now = tmp_path / "token", 0.0
    path.write_text("one\n")
    file = TokenFile(str(path), lambda: now)
    assert file.token() == "one"
    path.write_text("two\n")
    assert file.token() == "one"
    now = TOKEN_AGE_MAX_S
    assert file.token() == "two"
    path.write_text("three words here")
    now *= 2
    assert file.token() == "two"


def test_says_once_what_is_wrong_with_the_token_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, now = tmp_path / "token", 0.0
    path.write_text("one two")
    file = TokenFile(str(path), lambda: now)
    for _ in range(3):
        assert file.token() is None
        now += TOKEN_AGE_MAX_S
    assert [record.message for record in caplog.records] == [
        f"splitcache: token_file {path}: must hold one token"
    ]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"token_file": "/none"}, "token_file: cannot be read: /none"),
        ({"token_file": 7}, "token_file must be text"),
        ({"tls_server_name": ""}, "tls_server_name must be text"),
        ({"tls_cert_file": __file__}, "give both or neither"),
        ({"tls_ca_file": __file__}, "tls_ca_file: must hold certificates in PEM"),
        ({"tls": "yes"}, "tls must be true or false"),
        ({"tls": False, "tls_server_name": "a"}, "tls: false contradicts"),
        ({"allow_cleartext_token": 1}, "allow_cleartext_token must be true or false"),
    ],
)
def test_refuses(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse_config({"address": "a:1", **given})


def test_takes_the_files(certificate: tuple[Path, Path]) -> None:
    ca_file = str(certificate[0])
    config = parse_config({"address": "a:1", "tls_ca_file": ca_file, "token_file": __file__})
    assert config.security == Security(tls_ca_file=ca_file, token_file=__file__)
    assert not parse_config({"address": "a:1", "tls": False}).security.uses_tls


@pytest.mark.parametrize("address", ["a.example:1", "10.0.0.1:1", "[2001:db8::1]:1", "0.0.0.0:1"])
def test_sends_no_token_without_tls_unless_it_is_allowed(address: str) -> None:
    given = {"address": address, "token_file": __file__}
    with pytest.raises(ConfigError, match=r"^splitcache: token_file: .* allow_cleartext_token"):
        parse_config(given)
    for allowed in ({"tls": True}, {"allow_cleartext_token": True}, {"enabled": False}):
        parse_config({**given, **allowed})
    parse_config({"address": address})


@pytest.mark.parametrize("address", ["127.0.0.9:1", "[::1]:1", "localhost:1", "unix:/run/s.sock"])
def test_sends_a_token_without_tls_within_this_host(address: str) -> None:
    assert parse_config({"address": address, "token_file": __file__}).security.token_file
