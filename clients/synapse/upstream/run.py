"""Runs Synapse's own tests with the bridge switched on.

    python upstream/run.py                    the suites that read and change events
    python upstream/run.py --without-bridge   the same, to compare
    python upstream/run.py tests.storage …    others

The tests are those of the release of Synapse that is installed: they come from its source
distribution, into a temporary folder. A failure counts unless expected-failures.toml gives its
reason, and one that is listed there and passes counts as well.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import synapse

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).resolve().parent
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
TIMEOUT_S = 1_800


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--without-bridge", action="store_true")
    parser.add_argument("suites", nargs="*", default=SUITES)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="splitcache-upstream-") as folder:
        source = fetch_tests(Path(folder))
        if options.without_bridge:
            output = run_trial(source, options.suites, ["-m", "twisted.trial"], {})
        else:
            output = run_with_sidecar(source, options.suites, Path(folder))
    expected = {} if options.without_bridge else expected_failures()
    whole = tuple(options.suites) == SUITES
    return report(output, expected, whole=whole, bridge=not options.without_bridge)


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


def run_with_sidecar(source: Path, suites: list[str], folder: Path) -> str:
    program = os.environ.get("SPLITCACHE_MAIN", str(REPOSITORY / "dist" / "main.js"))
    socket = folder / "splitcache.sock"
    command = ["node", program, "serve", "--listen", f"unix:{socket}", "--http", "off",
               "--homeservers-max", "5000", "--log-level", "warn"]  # fmt: skip
    sidecar = subprocess.Popen(command)
    try:
        wait = ["node", program, "wait", "--address", f"unix:{socket}", "--timeout", "30s"]
        subprocess.run(wait, check=True)
        env = {"SPLITCACHE_ADDRESS": f"unix:{socket}"}
        return run_trial(source, suites, [str(HERE / "trial.py")], env)
    finally:
        sidecar.terminate()
        sidecar.wait(30)


def run_trial(source: Path, suites: list[str], trial: list[str], env: dict[str, str]) -> str:
    """Trial's output, which is printed as it comes."""
    path = os.pathsep.join([str(source), str(HERE.parent / "src")])
    command = [sys.executable, *trial, "--temp-directory", str(source / "_trial"), *suites]
    child = subprocess.Popen(
        command,
        cwd=source,
        env={**os.environ, **env, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert child.stdout is not None
    lines = []
    for line in child.stdout:
        print(line, end="", flush=True)
        lines.append(line)
    child.wait(TIMEOUT_S)
    return "".join(lines)


def expected_failures() -> dict[str, str]:
    """Test -> why it fails with a cache."""
    with (HERE / "expected-failures.toml").open("rb") as file:
        return dict(tomllib.load(file)["reasons"])


def report(output: str, expected: dict[str, str], *, whole: bool, bridge: bool) -> int:
    totals = re.search(r"^Ran (\d+) tests in", output, re.MULTILINE)
    skips = re.search(r"skips=(\d+)", output)
    failed = failed_tests(output)
    ran = int(totals.group(1)) if totals else 0
    skipped = int(skips.group(1)) if skips else 0
    surprises = failed - expected.keys()
    for test in sorted(failed & expected.keys()):
        print(f"fails as expected: {test}: {expected[test]}")
    for test in sorted(surprises):
        print(f"FAILED: {test}")
    missed = sorted(expected.keys() - failed) if whole else []
    for test in missed:
        print(f"passes, though expected to fail: {test}")
    bad = len(surprises) + len(missed) + (ran == 0)
    if whole and bridge and not re.search(r"^bridge: [1-9]\d* hits", output, re.MULTILINE):
        print("FAILED: no test read anything from the sidecar")
        bad += 1
    print(f"skipped by Synapse itself: {skipped}")
    print(f"{ran - skipped - len(failed)} passed, {bad} failed")
    return 1 if bad else 0


def failed_tests(output: str) -> set[str]:
    """Below its tests, trial tells why some did not pass; each such part ends with their names."""
    failed: set[str] = set()
    for part in re.split(r"^={70,}$", output, flags=re.MULTILINE)[1:]:
        if not part.lstrip().startswith(("[SKIPPED]", "[TODO]")):
            failed.update(re.findall(r"^(tests\.[\w.]+)$", part, re.MULTILINE))
    return failed


if __name__ == "__main__":
    sys.exit(main())
