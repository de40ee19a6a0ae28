"""Finds the functions of Synapse that write to a table of events: a new one would change events
without a word to the sidecar."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from splitcache_synapse.relied_on import TABLES
from splitcache_synapse.source_hash import Definition, definitions, parse

_NAMES = "|".join(TABLES)
_SQL = re.compile(rf"\b(?:UPDATE|INTO|DELETE\s+FROM)\s+(?:{_NAMES})\b", re.IGNORECASE)
_CALL = re.compile(r"\bsimple_(?:insert|upsert|update|delete)")
# What a file has that is worth parsing.
_QUOTED = re.compile(rf"""["'](?:{_NAMES})["']""")


def event_writers(package: Path) -> Iterator[tuple[str, str]]:
    """File and qualified name of each. `package`: the folder of the package `synapse`."""
    for path in sorted((package / "storage").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if _SQL.search(text) or (_CALL.search(text) and _QUOTED.search(text)):
            for name, definition in definitions(parse(path)):
                if not isinstance(definition, ast.ClassDef) and _writes(definition):
                    yield path.relative_to(package).as_posix(), name


def _writes(definition: Definition) -> bool:
    return any(_is_write(node) for node in ast.walk(definition))


def _is_write(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and _SQL.search(node.value) is not None
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
    return _CALL.match(node.func.attr) is not None and any(
        isinstance(one, ast.Constant) and one.value in TABLES for one in arguments
    )
