"""A module of Synapse that the figures load into their readers: it runs Synapse's own state
resolution over a room's current state, as joining a room whose state has diverged does."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from synapse.api.room_versions import KNOWN_ROOM_VERSIONS
from synapse.logging.context import run_in_background
from synapse.module_api import ModuleApi
from synapse.state import StateResolutionStore
from synapse.state.v2 import resolve_events_with_store
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

PATH = "/_splitcache_e2e/resolve"

StateMap = Mapping[tuple[str, str], str]


class StateResolver:
    """Answers GET of `PATH` with ?room_id=… by the seconds and the number of events resolved."""

    def __init__(self, config: dict[str, Any], api: ModuleApi) -> None:
        api.register_web_resource(PATH, _Resolve(api._hs))

    @staticmethod
    def parse_config(config: dict[str, Any]) -> dict[str, Any]:
        return config


class _Resolve(Resource):
    isLeaf = True

    def __init__(self, hs: Any) -> None:
        super().__init__()
        self._hs = hs

    def render_GET(self, request: Any) -> int:
        run_in_background(self._answer, request)
        return NOT_DONE_YET

    async def _answer(self, request: Any) -> None:
        try:
            reply = await self._resolve(request.args[b"room_id"][0].decode())
        except Exception as error:
            request.setResponseCode(500)
            reply = {"error": repr(error)}
        request.write(json.dumps(reply).encode())
        request.finish()

    async def _resolve(self, room_id: str) -> dict[str, Any]:
        store = self._hs.get_datastores()
        version = await store.main.get_room_version_id(room_id)
        state = await self._hs.get_storage_controllers().state.get_current_state_ids(room_id)
        started = time.monotonic()
        resolved = await resolve_events_with_store(
            self._hs.get_clock(),
            room_id,
            KNOWN_ROOM_VERSIONS[version],
            two_halves(state),
            None,
            StateResolutionStore(store.main, store.state_deletion),
        )
        return {"seconds": time.monotonic() - started, "events": len(resolved)}


def two_halves(state: StateMap) -> list[dict[tuple[str, str], str]]:
    """Two sides of a room that has diverged: each has half of what the other lacks, so that all of
    it is in conflict. Both have what a room needs for its rules of authorisation."""
    common = {key: state[key] for key in state if key[0].startswith("m.room.")}
    halves: list[dict[tuple[str, str], str]] = [dict(common), dict(common)]
    for number, key in enumerate(sorted(state.keys() - common.keys())):
        halves[number % 2][key] = state[key]
    return halves
