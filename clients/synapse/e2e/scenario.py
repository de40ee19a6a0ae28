"""What every scenario begins with."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from .client import HttpError, User, call
from .cluster import Cluster
from .compare import READERS, Comparison
from .metrics import GATE, gauge

GENERIC = ("generic1", "generic2")
# What DESIGN.md grants to a change whose process is dead, frozen or cut off, in seconds: G or A,
# and N for what a reader keeps.
BOUND_S = 4.0 + 2.0


class Scenario:
    """One homeserver, two users, and what they do."""

    def __init__(self, cluster: Cluster, comparison: Comparison, alice: User, bob: User) -> None:
        self._cluster = cluster
        self._comparison = comparison
        ports = cluster.ports
        self._main, self._one, self._two = ports["main"], ports["generic1"], ports["generic2"]
        self._alice, self._bob = alice, bob

    def room(self, version: str, messages: int) -> tuple[str, list[str]]:
        room_id = self._alice.create_room(self._one, version)
        self._bob.join(self._two, room_id)
        said = [self._alice.say(self._one, room_id, f"message {n}") for n in range(messages)]
        return room_id, said

    def compare(
        self,
        room_id: str,
        event_ids: list[str],
        processes: Iterable[str] = READERS,
        *,
        fault_s: float = 0.0,
    ) -> None:
        self._comparison.room(self._alice, room_id, event_ids, processes, fault_s=fault_s)

    def purge_room(self, room_id: str) -> None:
        reply = call(
            self._main,
            "DELETE",
            f"/_synapse/admin/v2/rooms/{room_id}",
            {"purge": True, "block": False},
            self._alice.token,
        )
        status = f"/_synapse/admin/v2/rooms/delete_status/{reply['delete_id']}"
        self.until(lambda: self._alice.get(self._main, status)["status"] == "complete")

    def warm(self, room_id: str, event_ids: list[str]) -> None:
        """Has the sidecar hold these events, or fails: what follows would show nothing."""
        if not self._cluster.bridge:
            return

        def held() -> bool:
            # In memory of a process that has just started is nothing. What it reads before it knows
            # that it may fill stays in its memory, and is not filled later.
            self._cluster.restart("generic2")
            self.until_open("generic2")
            time.sleep(0.5)
            self._alice.messages(self._two, room_id)
            return self._comparison.sidecar_holds(event_ids)

        self.until(held)

    def until_open(self, name: str) -> None:
        """Until the process reads from the sidecar."""
        if self._cluster.bridge:
            self.until(lambda: gauge(self._cluster, GATE, name) == 1)

    def until(self, holds: Callable[[], bool], timeout_s: float = 60) -> None:
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                if holds():
                    return
            except HttpError:
                pass
            if time.monotonic() > deadline:
                raise TimeoutError("did not come true in time")
            time.sleep(0.1)
