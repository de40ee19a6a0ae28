"""The fields in which two entries of one event differ."""

from __future__ import annotations

from typing import Any

import attr
import pytest
from synapse.storage.databases.main.events_worker import EventCacheEntry

from splitcache_synapse.comparison import differing, fields
from tests.corpus import made_row, read_from_database


def entry(content: dict[str, Any] | None = None, **columns: Any) -> EventCacheEntry:
    """As read from the database, where these columns are others. Of a room version in which the
    event's ID does not depend on its content."""
    made = made_row("1", "m.room.message", {"body": "x"} if content is None else content)
    row = attr.evolve(made, **columns)
    return read_from_database(row)[row.event_id]


def test_an_entry_is_as_itself() -> None:
    assert differing(fields(entry()), fields(entry())) == []


@pytest.mark.parametrize(
    ("more", "names"),
    [
        ({"stream_ordering": 8}, ["internal_metadata.stream_ordering"]),
        ({"instance_name": "other"}, ["internal_metadata.instance_name"]),
        ({"outlier": True}, ["internal_metadata.outlier"]),
        ({"rejected_reason": "auth_error"}, ["rejected_reason"]),
        ({"internal_metadata": '{"soft_failed": true}'}, ["internal_metadata.soft_failed"]),
        ({"internal_metadata": '{"recheck_redaction": true}'}, []),
    ],
)
def test_names_the_field_that_differs(more: dict[str, Any], names: list[str]) -> None:
    assert differing(fields(entry()), fields(entry(**more))) == names


def test_a_redacted_event_is_not_as_the_event() -> None:
    redacted = entry(confirmed_redactions=["$redaction"])
    names = differing(fields(entry()), fields(redacted))
    assert "redacted" in names
    assert "redacted_event.content" in names


def test_which_redaction_it_was_is_not_compared() -> None:
    one, other = (fields(entry(confirmed_redactions=[by])) for by in ("$one", "$other"))
    assert differing(one, other) == []


@pytest.mark.parametrize(("one", "other"), [(1, 1.0), (1, True), ("a", "b"), (0, None)])
def test_numbers_that_are_equal_but_not_the_same_differ(one: Any, other: Any) -> None:
    found = [fields(entry(content={"x": x})) for x in (one, other)]
    assert "event.content" in differing(*found)


def test_an_event_that_is_not_stored_differs_in_that() -> None:
    assert differing(fields(entry()), fields(None)) == ["stored"]
    assert differing(fields(None), fields(None)) == []


def test_names_are_bounded_and_in_ascii() -> None:
    one = {"stored": True, **{f"event.\x1b\u00e9{n:03}{'x' * 100}": "1" for n in range(50)}}
    names = differing(one, {"stored": True})
    assert len(names) == 20
    assert all(name.isascii() and name.isprintable() and len(name) < 100 for name in names)
