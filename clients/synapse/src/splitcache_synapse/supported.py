"""Whether the module knows the Synapse that it runs in.

The module replaces methods inside Synapse's storage layer. In a release that changed one of them it
could serve outdated events without a word. So it knows each by a hash of its source, whatever the
release is called: a release is supported if all of it is known, and so is one that was patched
elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

from splitcache_synapse.event_writers import event_writers
from splitcache_synapse.relied_on import RELIED_ON
from splitcache_synapse.source_hash import definitions, hash_of, parse

# In the place of a hash: the release has no such function.
ABSENT = "absent"

# File -> function -> hash -> the first and the last release with it.
Known = Mapping[str, Mapping[str, Mapping[str, list[str]]]]


@cache
def known_functions() -> Known:
    """The releases that were taken in; see `releases.py`."""
    known: Known = json.loads(
        files("splitcache_synapse").joinpath("known_functions.json").read_text("ascii")
    )
    return known


def hashes(package: Path) -> Iterator[tuple[str, str, str]]:
    """File, qualified name and hash of all that the module relies on."""
    for file, names in RELIED_ON.items():
        path = package / file
        found: dict[str, list[str]] = {}
        if path.exists():
            for name, definition in definitions(parse(path)):
                if name in names:
                    found.setdefault(name, []).append(hash_of(definition))
        for name in names:
            # There are several if the release defines it twice.
            yield file, name, "+".join(found.get(name, [ABSENT]))


def differences(package: Path, known: Known) -> list[str]:
    """In what the package `synapse` in this folder is not as known. Empty: it is supported."""
    if not (package / "__init__.py").exists():
        return [f"{package} holds no source"]
    try:
        return [*_changed(package, known), *_new_writers(package)]
    except (OSError, SyntaxError, ValueError) as error:
        return [f"its source cannot be read: {error}"]


def _changed(package: Path, known: Known) -> Iterator[str]:
    for file, name, found in hashes(package):
        if found in known[file][name]:
            continue
        what = "is not there" if found == ABSENT else f"is not as in any known release ({found})"
        yield f"{_module(file)}: {name} {what}"


def _new_writers(package: Path) -> Iterator[str]:
    for file, name in event_writers(package):
        if name not in RELIED_ON.get(file, ()):
            yield f"{_module(file)}: {name} writes to a table of events, and is new"


def _module(file: str) -> str:
    path = Path("synapse") / file
    name = path.parent if path.stem == "__init__" else path.with_suffix("")
    return ".".join(name.parts)
