"""A hash of a function's source that changes when the function does something else.

Comments, docstrings, annotations and layout do not count. Neither does the Python that parses: its
own `ast.dump` differs from release to release.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path

_DIGITS = 16
# Without effect on what runs, or set by some releases of Python alone.
_FIELDS_LEFT_OUT = frozenset({"annotation", "returns", "type_comment", "kind", "ctx"})
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def parse(path: Path) -> ast.Module:
    """Raises OSError if there is no source, SyntaxError if this Python cannot read it."""
    return ast.parse(path.read_bytes(), filename=str(path))


def definitions(module: ast.Module) -> Iterator[tuple[str, Definition]]:
    """All functions and classes, by their qualified names. Of equal names, each."""
    return _within(module, "")


def hash_of(definition: Definition) -> str:
    """Of the definition with its decorators and default values, but without its docstrings."""
    return hashlib.sha256("".join(_text(definition)).encode("ascii")).hexdigest()[:_DIGITS]


def _within(node: ast.AST, prefix: str) -> Iterator[tuple[str, Definition]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _DEFINITIONS):
            name = f"{prefix}{child.name}"
            yield name, child
            if isinstance(child, ast.ClassDef):
                yield from _within(child, f"{name}.")
        elif not isinstance(child, ast.expr):
            # A definition may stand in an `if` or a `try`.
            yield from _within(child, prefix)


def _text(node: ast.AST) -> Iterator[str]:
    yield f"{type(node).__name__}("
    for field, value in ast.iter_fields(node):
        if field in _FIELDS_LEFT_OUT:
            continue
        # Some releases of Python have a field, empty, that others lack.
        if value is None or value == []:
            continue
        yield f"{field}="
        yield from _value(value)
    yield ")"


def _value(value: object) -> Iterator[str]:
    if isinstance(value, ast.AST):
        yield from _text(value)
    elif isinstance(value, list):
        yield "["
        for one in value:
            if not _is_text_alone(one):
                yield from _value(one)
                yield ","
        yield "]"
    else:
        # In ASCII: which characters are printable depends on the release of Python.
        yield f"{type(value).__name__}:{value!a}"


def _is_text_alone(node: object) -> bool:
    """A docstring, wherever it stands, or the `...` of a stub."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
