"""Runs those of the module's tests that tell whether it works with a release of Synapse.

    python release_tests.py              the newest releases but the one that is installed
    python release_tests.py RELEASE …    these

Each release is put in front of the installed one, with the dependencies that are installed. The
last line says how many tests passed and failed, of all together.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as tree
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
# With the installed one they are the newest six; see RELEASES.md.
NEWEST = ("1.163.1", "1.163.0", "1.162.0", "1.161.0", "1.160.0")
# Of how events are read, kept, written and announced inside Synapse.
TELLING = (
    "tests/test_supported.py::test_knows_the_release_that_the_tests_run_with",
    "tests/test_stored_event.py",
    "tests/test_event_cache.py",
    "tests/test_comparison.py",
    "tests/test_audited_homeserver.py",
    "tests/test_reads.py",
    "tests/test_writes.py",
    "tests/test_owed.py",
)
TIMEOUT_S = 400


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-j", "--jobs", type=int, default=2, help="releases at a time")
    parser.add_argument("releases", nargs="*", default=NEWEST)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="splitcache-releases-") as folder,
        ThreadPoolExecutor(max(options.jobs, 1)) as pool,
    ):
        counts = list(pool.map(lambda release: run(release, Path(folder)), options.releases))
    passed, failed = (sum(column) for column in zip(*counts, strict=True))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def run(release: str, folder: Path) -> tuple[int, int]:
    """Passed and failed. What was skipped, or did not end, has failed."""
    try:
        site = install(release, folder)
        report = folder / f"{release}.xml"
        output = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:warnings",
             f"--junitxml={report}", *TELLING],
            cwd=HERE,
            env={**os.environ, "PYTHONPATH": str(site)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_S,
        )  # fmt: skip
        suite = tree.parse(report).getroot().find("testsuite")
        assert suite is not None
        failed = sum(int(suite.get(kind, "0")) for kind in ("failures", "errors", "skipped"))
        passed = int(suite.get("tests", "0")) - failed
    except (subprocess.SubprocessError, OSError) as error:
        print(f"Synapse {release}: FAILED: {error}", flush=True)
        return 0, 1
    if failed or output.returncode:
        print(output.stdout)
        failed = max(failed, 1)
    print(f"Synapse {release}: {passed} passed, {failed} failed", flush=True)
    return passed, failed


def install(release: str, folder: Path) -> Path:
    site = folder / release
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    wanted = ["--no-deps", "--only-binary", ":all:", "--target", str(site)]
    subprocess.run([*command, *wanted, f"matrix-synapse=={release}"], check=True)
    return site


if __name__ == "__main__":
    sys.exit(main())
