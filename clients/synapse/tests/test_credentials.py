"""Tokens and certificates that are replaced while the module runs, with a real sidecar."""

from __future__ import annotations

import logging
import os
import queue
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from splitcache_client.certificates import CERTIFICATES_AGE_MAX_S
from splitcache_client.channel import TOKEN_AGE_MAX_S, Channels
from splitcache_client.gen import event_cache_service_pb2 as pb
from splitcache_client.pending import Pending
from splitcache_client.relay import Relay
from splitcache_client.transport import GrpcTransport
from splitcache_synapse.metrics import BridgeMetrics
from tests.bridge import HOME, ROOM, Bridge
from tests.guarded_sidecar import Certificate, GuardedSidecar
from tests.loop_reactor import LoopReactor

POSITION = pb.GetEventsRequest(homeserver=HOME)


class Clock:
    """Of the files alone."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def files_are_read_again(self) -> None:
        self.now += max(CERTIFICATES_AGE_MAX_S, TOKEN_AGE_MAX_S)


@pytest.fixture
def sidecar(tmp_path: Path, start_sidecar: Callable[..., Any]) -> GuardedSidecar:
    return GuardedSidecar(tmp_path, start_sidecar)


@pytest.fixture
def own(tmp_path: Path) -> Certificate:
    """The files that the configuration names."""
    return Certificate(tmp_path / "own.crt", tmp_path / "own.key")


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_token_that_was_rotated_is_used_by_the_read_stream(
    sidecar: GuardedSidecar, tmp_path: Path, start: Callable[..., Bridge], clock: Clock
) -> None:
    old, new = sidecar.token_file("old"), sidecar.token_file("new")
    by_old, by_new = (sidecar.security(token_file=path) for path in (old, new))
    nobody = sidecar.security()
    sidecar.admit(by_old, nobody, token_files=[str(old)])
    own = sidecar.token_file("own")
    own.write_text(old.read_text())
    channels = Channels(sidecar.address, sidecar.security(token_file=own), clock)
    bridge = start(sidecar.address, channels=channels).ready()
    bridge.fill("$a")
    sidecar.admit(by_new, nobody, token_files=[str(old), str(new)])
    own.write_text(new.read_text())
    clock.files_are_read_again()
    sidecar.admit(by_new, by_old, token_files=[str(new)])
    bridge.reactor.run_until(lambda: set(bridge.look("$a").hits) == {"$a"})


def test_new_client_certificates_are_used_and_no_call_fails_for_it(
    sidecar: GuardedSidecar, own: Certificate, clock: Clock
) -> None:
    one, two = sidecar.certificate("one"), sidecar.certificate("two")
    by_one, by_two = (sidecar.security(certificate=each) for each in (one, two))
    sidecar.admit(by_one, sidecar.security(), certificate_names=["one", "two"])
    one.copy_to(own)
    channels = Channels(sidecar.address, sidecar.security(certificate=own), clock)
    reactor = LoopReactor()
    transport = GrpcTransport(channels, reactor)
    outcomes: list[Any] = []
    transport.lookup(POSITION, 5.0, outcomes.append)
    for _ in range(20):
        transport.unary("GetEvents", POSITION, 5.0, outcomes.append)
    two.copy_to(own)
    clock.files_are_read_again()
    transport.unary("GetEvents", POSITION, 5.0, outcomes.append)
    transport.lookup(POSITION, 5.0, outcomes.append)
    reactor.run_until(lambda: len(outcomes) == 23)
    assert [each for each in outcomes if not isinstance(each, pb.GetEventsResponse)] == []
    sidecar.admit(by_two, by_one, certificate_names=["two"])
    outcomes.clear()
    transport.unary("GetEvents", POSITION, 5.0, outcomes.append)
    transport.lookup(POSITION, 5.0, outcomes.append)
    reactor.run_until(lambda: len(outcomes) == 2)
    assert [each for each in outcomes if not isinstance(each, pb.GetEventsResponse)] == []
    transport.close()


def test_a_sidecar_that_refused_the_old_certificate_is_reached_with_the_new_one(
    sidecar: GuardedSidecar, own: Certificate, clock: Clock
) -> None:
    one, two = sidecar.certificate("one"), sidecar.certificate("two")
    by_one, by_two = (sidecar.security(certificate=each) for each in (one, two))
    sidecar.admit(by_two, by_one, certificate_names=["two"])
    one.copy_to(own)
    channels = Channels(sidecar.address, sidecar.security(certificate=own), clock)
    reactor = LoopReactor()
    transport = GrpcTransport(channels, reactor)
    outcomes: list[Any] = []

    def ask() -> Any:
        outcomes.clear()
        transport.unary("GetEvents", POSITION, 5.0, outcomes.append)
        reactor.run_until(lambda: bool(outcomes))
        return outcomes[0]

    assert ask().code() == grpc.StatusCode.UNAUTHENTICATED
    two.copy_to(own)
    clock.files_are_read_again()
    assert isinstance(ask(), pb.GetEventsResponse)
    transport.close()


def test_wrong_certificates_are_not_used_and_that_is_logged_once(
    sidecar: GuardedSidecar, own: Certificate, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = sidecar.certificate("one"), sidecar.certificate("two")
    by_one = sidecar.security(certificate=one)
    sidecar.admit(by_one, sidecar.security(), certificate_names=["one"])
    one.copy_to(own)
    channels = Channels(sidecar.address, sidecar.security(certificate=own), clock)
    relay = Relay(channels, HOME, BridgeMetrics(HOME))
    relay.start()
    for wrong in (b"garbage", two.cert.read_bytes()):
        own.cert.write_bytes(wrong)
        for _ in range(3):
            clock.files_are_read_again()
            assert relayed(relay) is not None
    own.cert.unlink()
    for _ in range(3):
        clock.files_are_read_again()
        assert relayed(relay) is not None
    relay.stop()
    after = "; the previous certificates stay in use"
    errors = [each.message for each in caplog.records if each.levelno == logging.ERROR]
    assert errors == [
        f"splitcache: tls_cert_file: must hold certificates in PEM{after}",
        "splitcache: tls_key_file: is not the key of the certificate in tls_cert_file" + after,
        f"splitcache: tls_cert_file: cannot be read: {own.cert}: No such file or directory{after}",
    ]


def test_the_relay_uses_new_client_certificates(
    sidecar: GuardedSidecar, own: Certificate, clock: Clock
) -> None:
    one, two = sidecar.certificate("one"), sidecar.certificate("two")
    by_one, by_two = (sidecar.security(certificate=each) for each in (one, two))
    sidecar.admit(by_one, sidecar.security(), certificate_names=["one", "two"])
    one.copy_to(own)
    relay = Relay(
        Channels(sidecar.address, sidecar.security(certificate=own), clock),
        HOME,
        BridgeMetrics(HOME),
    )
    relay.start()
    assert relayed(relay) is not None
    two.copy_to(own)
    sidecar.admit(by_two, by_one, certificate_names=["two"])
    clock.files_are_read_again()
    assert relayed(relay) is not None
    relay.stop()


def test_grpcs_authorities_need_no_other_key(sidecar: GuardedSidecar) -> None:
    token = sidecar.token_file("one")
    by_token = sidecar.security(token_file=token)
    sidecar.admit(by_token, sidecar.security(), token_files=[str(token)])
    program = (
        "import sys\n"
        "from splitcache_client.channel import Channels\n"
        "from splitcache_synapse.config import parse_config\n"
        "from splitcache_client.gen import event_cache_service_pb2 as pb\n"
        "from splitcache_client.transport import call\n"
        "given = {'address': sys.argv[1], 'token_file': sys.argv[2], 'tls': True}\n"
        "config = parse_config(given)\n"
        "with Channels(config.address, config.security).open([]) as channel:\n"
        f"    request = pb.GetEventsRequest(homeserver={HOME!r})\n"
        "    call(channel, 'GetEvents')(request, timeout=10)\n"
    )
    subprocess.run(
        [sys.executable, "-c", program, sidecar.address, str(token)],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            # gRPC reads it once in a process.
            "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(sidecar.authority.cert),
        },
        check=True,
        timeout=30,
    )


def relayed(relay: Relay) -> Any:
    """What becomes of one announcement."""
    pending = Pending()
    pending.add_events(ROOM, ["$a"])
    results: queue.SimpleQueue[Any] = queue.SimpleQueue()
    relay.announce([pending.text()], results.put)
    return results.get(timeout=10)
