"""What changes the hash of a function, and what does not."""

from __future__ import annotations

import ast

import pytest

from splitcache_synapse.source_hash import definitions, hash_of

BEFORE = '''
class Store:
    """Keeps events."""

    @trace
    async def read(self, ids: list[str], limit: int = 5) -> dict[str, Any]:
        """Reads them."""
        # All at once.
        found: dict[str, Any] = {}
        sql = f"SELECT {limit!r:>5}" " FROM events"
        return found
'''

SAME = [
    ('"""Reads them."""', '"""Reads some of them."""'),
    ("# All at once.", "# One by one."),
    ("ids: list[str]", "ids: 'List[str]'"),
    ("-> dict[str, Any]", "-> Mapping[str, Any]"),
    ("found: dict[str, Any]", "found: Dict[str, Any]"),
    ('" FROM events"', "' FROM events'"),
    ('"""Keeps events."""', "pass"),
    ("return found", "return (\n            found\n        )"),
]

OTHER = [
    ("return found", "return dict(found)"),
    ("limit: int = 5", "limit: int = 6"),
    ("@trace", "@cancellable"),
    ("async def", "def"),
    ("{limit!r:>5}", "{limit!s:>5}"),
    ("ids: list[str], ", "ids: list[str], *, "),
    ("FROM events", "FROM event_json"),
]


def hashes(source: str) -> dict[str, str]:
    return {name: hash_of(one) for name, one in definitions(ast.parse(source))}


@pytest.mark.parametrize(("part", "changed"), SAME)
def test_what_runs_alike_has_the_same_hash(part: str, changed: str) -> None:
    assert part in BEFORE
    assert hashes(BEFORE.replace(part, changed))["Store.read"] == hashes(BEFORE)["Store.read"]


@pytest.mark.parametrize(("part", "changed"), OTHER)
def test_what_runs_otherwise_has_another_hash(part: str, changed: str) -> None:
    assert part in BEFORE
    after = hashes(BEFORE.replace(part, changed))
    assert after["Store.read"] != hashes(BEFORE)["Store.read"]
    assert after["Store"] != hashes(BEFORE)["Store"]


def test_finds_definitions_in_branches_but_not_within_functions() -> None:
    source = "if A:\n    def one(): ...\nelse:\n    def one():\n        def inner(): ...\n"
    assert [name for name, _ in definitions(ast.parse(source))] == ["one", "one"]


def test_the_hash_is_the_same_whichever_python_parses() -> None:
    """That of this text, as Python 3.10, 3.11, 3.12 and 3.13 have made it."""
    assert hashes(BEFORE) == {"Store": "c390c86110167adf", "Store.read": "03cdc273383f7f20"}
