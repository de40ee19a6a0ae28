"""The client-server and admin APIs, as far as the scenarios need them."""

from __future__ import annotations

import hashlib
import hmac
import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote

from .configs import SECRET

TIMEOUT_S = 60.0


class HttpError(Exception):
    """A reply that is not 200."""

    def __init__(self, code: int, body: str) -> None:
        super().__init__(f"{code}: {body[:300]}")
        self.code = code


def call(
    port: int,
    method: str,
    path: str,
    body: Any = None,
    token: str | None = None,
    *,
    timeout_s: float = TIMEOUT_S,
) -> Any:
    """One request; the reply's JSON."""
    payload = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", payload, method=method)
    request.add_header("Content-Type", "application/json")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as reply:
            return json.loads(reply.read())
    except urllib.error.HTTPError as error:
        raise HttpError(error.code, error.read().decode(errors="replace")) from None


class User:
    """A user; each method takes the port of the process that is asked."""

    def __init__(self, port: int, name: str, *, admin: bool = False) -> None:
        nonce = call(port, "GET", "/_synapse/admin/v1/register")["nonce"]
        words = [nonce, name, "password", "admin" if admin else "notadmin"]
        mac = hmac.new(SECRET.encode(), "\0".join(words).encode(), hashlib.sha1).hexdigest()
        made = call(
            port,
            "POST",
            "/_synapse/admin/v1/register",
            {"nonce": nonce, "username": name, "password": "password", "admin": admin, "mac": mac},
        )
        self.user_id: str = made["user_id"]
        self.token: str = made["access_token"]
        self._transactions = 0

    def get(self, port: int, path: str) -> Any:
        return call(port, "GET", path, token=self.token)

    def post(self, port: int, path: str, body: Any) -> Any:
        return call(port, "POST", path, body, self.token)

    def create_room(self, port: int, version: str, **more: Any) -> str:
        body = {"room_version": version, "preset": "public_chat", **more}
        room_id: str = self.post(port, "/_matrix/client/v3/createRoom", body)["room_id"]
        return room_id

    def send(self, port: int, room_id: str, content: Any, kind: str = "m.room.message") -> str:
        self._transactions += 1
        path = f"{_room(room_id)}/send/{kind}/{self._transactions}"
        event_id: str = call(port, "PUT", path, content, self.token)["event_id"]
        return event_id

    def say(self, port: int, room_id: str, text: str) -> str:
        return self.send(port, room_id, {"msgtype": "m.text", "body": text})

    def redact(self, port: int, room_id: str, event_id: str) -> str:
        self._transactions += 1
        path = f"{_room(room_id)}/redact/{quote(event_id, safe='')}/{self._transactions}"
        redaction_id: str = call(port, "PUT", path, {}, self.token)["event_id"]
        return redaction_id

    def join(self, port: int, room_id: str, via: str | None = None) -> None:
        """`via`: the homeserver to ask when this one is not in the room."""
        path = f"/_matrix/client/v3/join/{quote(room_id, safe='')}"
        self.post(port, f"{path}?server_name={via}&via={via}" if via else path, {})

    def leave(self, port: int, room_id: str) -> None:
        self.post(port, f"{_room(room_id)}/leave", {})

    def remove(self, port: int, room_id: str, user_id: str, kind: str, **more: Any) -> None:
        self.post(port, f"{_room(room_id)}/{kind}", {"user_id": user_id, **more})

    def event(self, port: int, room_id: str, event_id: str) -> Any:
        return self.get(port, f"{_room(room_id)}/event/{quote(event_id, safe='')}")

    def messages(self, port: int, room_id: str, limit: int = 100) -> list[Any]:
        reply = self.get(port, f"{_room(room_id)}/messages?dir=b&limit={limit}")
        chunk: list[Any] = reply["chunk"]
        return chunk

    def sync(self, port: int, room_id: str | None = None) -> Any:
        """An initial sync; of one room alone if it is given."""
        path = "/_matrix/client/v3/sync?timeout=0"
        if room_id is not None:
            rooms = {"rooms": [room_id], "timeline": {"limit": 50}}
            chosen = {"room": rooms, "presence": {"types": []}}
            path += f"&filter={quote(json.dumps(chosen), safe='')}"
        return self.get(port, path)

    def sync_since(self, port: int, room_id: str, since: str) -> Any:
        """What one room has got since then."""
        chosen = {"room": {"rooms": [room_id], "timeline": {"limit": 100}}}
        path = f"/_matrix/client/v3/sync?timeout=0&since={since}"
        return self.get(port, f"{path}&filter={quote(json.dumps(chosen), safe='')}")

    def poll(self, port: int, since: str) -> Any:
        """Waits for what is new since then."""
        return self.get(port, f"/_matrix/client/v3/sync?timeout=10000&since={since}")


def _room(room_id: str) -> str:
    return f"/_matrix/client/v3/rooms/{quote(room_id, safe='')}"
