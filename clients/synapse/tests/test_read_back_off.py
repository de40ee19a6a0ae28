"""With `read_back: false` a new event is put by its first read."""

from __future__ import annotations

import pytest

from tests.homeserver import Homeserver
from tests.test_read_back import counted


@pytest.fixture(scope="module")
def module_options() -> dict[str, object]:
    return {"read_back": False}


def test_a_new_event_is_put_by_its_first_read(home: Homeserver, room_id: str) -> None:
    outcomes = ("read_back", "dropped", "not_put", "failed")
    before = [counted("new_events", outcome) for outcome in outcomes]
    event_id = home.send(room_id)
    home.run_until(lambda: not home.module._read_back._is_running)
    assert [counted("new_events", outcome) for outcome in outcomes] == before
    assert home.held(event_id) is None
    assert home.fill(event_id).event_id == event_id
