"""A room with much state."""

from __future__ import annotations

from urllib.parse import quote

from .client import User, call

TIMEOUT_S = 1_200.0


def make_large_room(port: int, founder: User, state_events: int) -> str:
    """Its ID. The port is the event persister's: so many events are too much for one request
    between processes."""
    state = [
        {"type": f"org.example.kind{n}", "state_key": "", "content": {"of": "x" * 300, "n": n}}
        for n in range(state_events)
    ]
    body = {"room_version": "10", "preset": "public_chat", "initial_state": state}
    path = "/_matrix/client/v3/createRoom"
    room_id: str = call(port, "POST", path, body, founder.token, timeout_s=TIMEOUT_S)["room_id"]
    return room_id


def read_state(port: int, user: User, room_id: str) -> None:
    path = f"/_matrix/client/v3/rooms/{quote(room_id, safe='')}/state"
    call(port, "GET", path, None, user.token, timeout_s=TIMEOUT_S)
