"""Runs Synapse's own tests with the bridge switched on.

    python upstream/run.py                    the suites that read and change events
    python upstream/run.py -j 2               the same, in two processes
    python upstream/run.py --postgres         the same on a PostgreSQL of its own, far slower
    python upstream/run.py --without-bridge   the same, to compare
    python upstream/run.py --all              all suites that deal with events
    python upstream/run.py --all --compare    with and without, and the tests that differ
    python upstream/run.py tests.storage …    others

The tests are those of the release of Synapse that is installed: they come from its source
distribution, into a temporary folder. A failure counts unless expected-failures.toml gives its
reason, and one that is listed there and passes counts as well.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import synapse
from verdict import Run, expected_failures, report

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from e2e.postgres import USER, postgres  # noqa: E402
from e2e.processes import free_port  # noqa: E402

REPOSITORY = HERE.parents[2]
SUITES = (
    "tests.storage.databases.main.test_events_worker",
    "tests.storage.test_redaction",
    "tests.storage.test_purge",
    "tests.storage.test_events_bg_updates",
    "tests.replication.storage.test_events",
    "tests.replication.test_sharded_event_persister",
    "tests.rest.client.test_redactions",
    "tests.rest.client.test_retention",
    "tests.rest.client.test_ephemeral_message",
    "tests.rest.client.test_rooms",
    "tests.rest.client.test_third_party_rules",
    "tests.rest.admin.test_room",
    "tests.handlers.test_federation_event",
    "tests.handlers.test_federation",
    "tests.handlers.test_sync",
    "tests.util.test_lrucache",
)
ALL = (
    "tests.handlers",
    "tests.rest.client",
    "tests.rest.admin",
    "tests.storage",
    "tests.replication",
    "tests.push",
    "tests.federation",
    "tests.module_api",
    "tests.events",
)
TIMEOUT_S, TIMEOUT_OF_ALL_S = 1_800, 14_400


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--without-bridge", action="store_true")
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("-j", "--jobs", type=int, default=1, help="processes at a time")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--compare", action="store_true", help="run with and without the bridge")
    parser.add_argument("suites", nargs="*")
    options = parser.parse_args()
    if options.jobs < 1:
        parser.error("-j must be at least 1")
    if options.all and options.suites:
        parser.error("--all takes no suites")
    options.suites = options.suites or (ALL if options.all else SUITES)
    failed, found = run_once(options, bridge=not options.without_bridge)
    if options.compare:
        _, other = run_once(options, bridge=options.without_bridge)
        print_differences(found, other)
    return failed


def print_differences(found: Run, other: Run) -> None:
    names = sorted(found.outcomes.keys() | other.outcomes.keys())
    for name in names:
        first, second = found.outcomes.get(name, "not run"), other.outcomes.get(name, "not run")
        if first != second:
            print(f"differs: {name}: {first}, then {second}")
    print(f"{len(names)} tests compared")


def run_once(options: argparse.Namespace, *, bridge: bool) -> tuple[int, Run]:
    """Whether it has failed, and what came out."""
    print(f"\n{'With' if bridge else 'Without'} the bridge", flush=True)
    expected = expected_failures(HERE / "expected-failures.toml") if bridge else {}
    # So that stopping it ends the sidecar and the tests, and removes the folder.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="splitcache-upstream-") as name, ExitStack() as stack:
        folder = Path(name)
        # For PostgreSQL, which is another user's.
        folder.chmod(0o755)
        source = fetch_tests(folder)
        env: dict[str, str] = {}
        if bridge:
            env["SPLITCACHE_ADDRESS"] = stack.enter_context(sidecar(folder))
        if options.postgres:
            env |= stack.enter_context(database(folder))
        run = run_trials(source, options, env)
    whole = tuple(options.suites) in (SUITES, ALL)
    return report(run, options.suites, expected, whole=whole, bridge=bridge), run


def fetch_tests(folder: Path) -> Path:
    release = synapse.__version__
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
         "--no-deps", "--no-binary", "matrix-synapse", "--dest", folder,
         f"matrix-synapse=={release}"],
        check=True,
    )  # fmt: skip
    (archive,) = folder.glob("matrix_synapse-*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    source = folder / f"matrix_synapse-{release}"
    # The installed release is tested, not the source beside the tests.
    (source / "synapse").rename(source / "synapse-source")
    return source


@contextmanager
def sidecar(folder: Path) -> Iterator[str]:
    """A sidecar of its own; its address."""
    program = os.environ.get("SPLITCACHE_MAIN", str(REPOSITORY / "dist" / "main.js"))
    address = f"unix:{folder / 'splitcache.sock'}"
    command = ["node", program, "serve", "--listen", address, "--http", "off",
               "--homeservers-max", "5000", "--log-level", "warn"]  # fmt: skip
    # It refuses to start beside a variable of its prefix that it does not know.
    env = {name: value for name, value in os.environ.items() if name != "SPLITCACHE_MAIN"}
    process = subprocess.Popen(command, env=env)
    try:
        wait = ["node", program, "wait", "--address", address, "--timeout", "30s"]
        subprocess.run(wait, check=True, env=env)
        yield address
    finally:
        stop(process)


@contextmanager
def database(folder: Path) -> Iterator[dict[str, str]]:
    """A PostgreSQL of its own; what tells Synapse's tests of it."""
    port = free_port()
    process = postgres(folder, port)
    process.start()
    try:
        address = {"HOST": "127.0.0.1", "PORT": str(port), "USER": USER}
        yield {"SYNAPSE_POSTGRES": "1", **{f"SYNAPSE_POSTGRES_{k}": v for k, v in address.items()}}
    finally:
        process.stop()


def run_trials(source: Path, options: argparse.Namespace, env: Mapping[str, str]) -> Run:
    """Each process takes its share of the suites. The output of several is printed at the end."""
    jobs = min(options.jobs, len(options.suites))
    shares = [options.suites[n::jobs] for n in range(jobs)]
    children: list[subprocess.Popen[bytes]] = []
    run = Run()
    try:
        for n, share in enumerate(shares):
            children.append(start_trial(source, n, share, env, to_file=jobs > 1))
        timeout_s = TIMEOUT_OF_ALL_S if options.all else TIMEOUT_S
        deadline = time.monotonic() + timeout_s
        for child in children:
            try:
                child.wait(max(deadline - time.monotonic(), 0))
            except subprocess.TimeoutExpired:
                run.errors.append(f"the tests took longer than {timeout_s} s")
                break
    finally:
        for child in children:
            stop(child)
    for n, child in enumerate(children):
        if jobs > 1:
            print((source / f"{n}.out").read_text(errors="replace"))
        failed = run.read(source / f"{n}.jsonl")
        # Trial exits with 1 if a test fails.
        if child.returncode != (1 if failed else 0):
            run.errors.append(f"trial exited with {child.returncode}, {failed} tests failed")
    return run


def start_trial(
    source: Path, n: int, suites: Sequence[str], env: Mapping[str, str], *, to_file: bool
) -> subprocess.Popen[bytes]:
    path = os.pathsep.join(
        [str(source), str(HERE.parent / "src"), str(HERE.parents[1] / "python" / "src")]
    )
    command = [sys.executable, str(HERE / "trial.py"),
               "--temp-directory", str(source / f"_trial_{n}"), *suites]  # fmt: skip
    extra = {**env, "PYTHONPATH": path, "UPSTREAM_OUTCOMES": str(source / f"{n}.jsonl")}
    output = (source / f"{n}.out").open("wb") if to_file else None
    try:
        return subprocess.Popen(
            command,
            cwd=source,
            env={**os.environ, **extra},
            stdout=output,
            stderr=subprocess.STDOUT if output else None,
        )
    finally:
        if output:
            output.close()


def stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
