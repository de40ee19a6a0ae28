"""Takes a release of Synapse in: shows what it changed of what the module relies on, and notes it.

    python releases.py check                 what is not known of the Synapse that is installed
    python releases.py check RELEASE …       of these releases
    python releases.py diff OLD NEW          how each function that the module relies on changed
    python releases.py add RELEASE …         notes what these releases have as known

RELEASE is a version, which pip downloads, or a wheel. RELEASES.md says what to do in between.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from email import message_from_string
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "src"), str(HERE.parent / "python" / "src")]
# Not the package itself, which imports Synapse.
from splitcache_synapse.relied_on import RELIED_ON  # noqa: E402
from splitcache_synapse.source_hash import Definition, definitions, hash_of, parse  # noqa: E402
from splitcache_synapse.supported import differences, hashes, known_functions  # noqa: E402

KNOWN = HERE / "src" / "splitcache_synapse" / "known_functions.json"

# The file changes while this runs.
forget_known_functions = known_functions.cache_clear

Known = dict[str, dict[str, dict[str, list[str]]]]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check").add_argument("releases", nargs="*")
    diff = commands.add_parser("diff")
    diff.add_argument("old")
    diff.add_argument("new")
    commands.add_parser("add").add_argument("releases", nargs="+")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="splitcache-releases-") as name:
        folder = Path(name)
        if options.command == "check":
            return check([unpacked(one, folder) for one in options.releases] or [installed()])
        if options.command == "diff":
            return print_diff(unpacked(options.old, folder), unpacked(options.new, folder))
        return add([unpacked(one, folder) for one in options.releases])


def check(packages: list[Path]) -> int:
    unsupported = 0
    for package in packages:
        found = differences(package, known_functions())
        print(f"{release_of(package)}: {'not supported' if found else 'supported'}")
        for difference in found:
            print(f"  {difference}")
        unsupported += bool(found)
    return 1 if unsupported else 0


def print_diff(old: Path, new: Path) -> int:
    for file, names in RELIED_ON.items():
        before, after = defined(old / file), defined(new / file)
        for name in names:
            is_stub = file.endswith(".pyi")
            if hashes_of(before.get(name, []), is_stub) != hashes_of(after.get(name, []), is_stub):
                print(f"--- {release_of(old)} {file}: {name}\n+++ {release_of(new)}")
                lines = difflib.unified_diff(
                    text(before.get(name, [])), text(after.get(name, [])), lineterm="", n=3
                )
                # The names of the two are said above.
                print("\n".join(list(lines)[2:]) + "\n")
    for difference in differences(new, known_functions()):
        print(difference)
    return 0


def add(packages: list[Path]) -> int:
    known: Known = json.loads(KNOWN.read_text("ascii")) if KNOWN.exists() else {}
    for package in packages:
        release = release_of(package)
        for file, name, found in hashes(package):
            span = known.setdefault(file, {}).setdefault(name, {}).setdefault(found, [])
            ends = sorted([*span, release], key=by_number)
            span[:] = [ends[0], ends[-1]]
        print(f"{release}: added")
    KNOWN.write_text(json.dumps(known, indent=2) + "\n", "ascii")
    forget_known_functions()
    # A function that writes to a table of events must be listed by name.
    return check(packages)


def unpacked(release: str, folder: Path) -> Path:
    """The package `synapse` of the release, without what is compiled."""
    wheel = Path(release) if release.endswith(".whl") else download(release, folder)
    target = folder / wheel.stem
    with zipfile.ZipFile(wheel) as archive:
        members = [
            one
            for one in archive.namelist()
            if one.startswith("synapse/") and one.endswith((".py", ".pyi"))
        ]
        archive.extractall(target, members)
        (metadata,) = (one for one in archive.namelist() if one.endswith(".dist-info/METADATA"))
        (target / "METADATA").write_bytes(archive.read(metadata))
    return target / "synapse"


def download(release: str, folder: Path) -> Path:
    into = folder / "wheels" / release
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    wanted = ["--no-deps", "--only-binary", ":all:", "--dest", str(into)]
    subprocess.run([*command, *wanted, f"matrix-synapse=={release}"], check=True)
    (wheel,) = into.glob("*.whl")
    return wheel


def installed() -> Path:
    import synapse

    return Path(synapse.__file__).parent


def release_of(package: Path) -> str:
    metadata = package.parent / "METADATA"
    if not metadata.exists():
        import synapse

        return synapse.__version__
    return str(message_from_string(metadata.read_text("utf-8"))["Version"])


def defined(path: Path) -> dict[str, list[Definition]]:
    found: dict[str, list[Definition]] = {}
    for name, definition in definitions(parse(path)) if path.exists() else ():
        found.setdefault(name, []).append(definition)
    return found


def hashes_of(found: list[Definition], is_stub: bool) -> list[str]:
    return [hash_of(one, is_stub=is_stub) for one in found]


def text(found: list[Definition]) -> list[str]:
    return [line for one in found for line in ast.unparse(one).split("\n")]


def by_number(release: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", release)]


if __name__ == "__main__":
    sys.exit(main())
