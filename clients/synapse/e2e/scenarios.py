"""What is done to the homeserver. After each, every process is compared with the database."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable

from .client import HttpError, User, call
from .cluster import Cluster
from .compare import Comparison

# Every room version whose events differ in form or in what a redaction keeps.
ROOM_VERSIONS = ("1", "3", "6", "9", "10", "11", "12")


class Scenarios:
    """One homeserver, two users, and what they do. Each public method is a scenario."""

    def __init__(self, cluster: Cluster, comparison: Comparison) -> None:
        self._cluster = cluster
        self._comparison = comparison
        ports = cluster.ports
        self._main, self._one, self._two = ports["main"], ports["generic1"], ports["generic2"]
        self._alice = User(self._main, "alice", admin=True)
        self._bob = User(self._main, "bob")

    def all(self) -> list[Callable[[], None]]:
        return [
            self.redacts_in_every_room_version,
            self.edits_and_reacts,
            self.bans_with_redaction,
            self.kicks_leaves_and_rejoins,
            self.purges_history,
            self.purges_a_room,
            self.restarts_workers,
            self.kills_the_sidecar_in_traffic,
            self.freezes_a_reader,
            self.freezes_the_persister,
        ]

    def redacts_in_every_room_version(self) -> None:
        for version in ROOM_VERSIONS:
            room_id, said = self._room(version, messages=6)
            self._compare(room_id, said)
            for event_id in said[::2]:
                self._alice.redact(self._one, room_id, event_id)
            self._compare(room_id, said)

    def edits_and_reacts(self) -> None:
        room_id, said = self._room("10", messages=4)
        relation = {"event_id": said[0]}
        edit = self._alice.send(
            self._one,
            room_id,
            {
                "msgtype": "m.text",
                "body": "* new",
                "m.new_content": {"body": "new"},
                "m.relates_to": {**relation, "rel_type": "m.replace"},
            },
        )
        reaction = {"m.relates_to": {**relation, "rel_type": "m.annotation", "key": "+"}}
        self._bob.send(self._two, room_id, reaction, "m.reaction")
        self._compare(room_id, [*said, edit])
        self._alice.redact(self._two, room_id, edit)
        self._compare(room_id, [*said, edit])

    def bans_with_redaction(self) -> None:
        room_id, said = self._room("11", messages=2)
        said += [self._bob.say(self._two, room_id, f"of bob {n}") for n in range(4)]
        self._compare(room_id, said)
        self._alice.remove(
            self._one,
            room_id,
            self._bob.user_id,
            "ban",
            **{"org.matrix.msc4293.redact_events": True},
        )
        # Synapse drops what is redacted from the memory of its event persister alone: the other
        # processes know of it once they have started anew.
        readers = ("generic1", "generic2")
        self._cluster.restart(*readers)
        self._comparison.room(self._alice, room_id, said, readers)
        self._alice.remove(self._one, room_id, self._bob.user_id, "unban")
        self._bob.join(self._two, room_id)
        said.append(self._bob.say(self._two, room_id, "back again"))
        self._cluster.restart(*readers)
        self._comparison.room(self._alice, room_id, said, readers)

    def kicks_leaves_and_rejoins(self) -> None:
        room_id, said = self._room("9", messages=4)
        self._alice.remove(self._one, room_id, self._bob.user_id, "kick")
        self._bob.join(self._two, room_id)
        self._bob.leave(self._two, room_id)
        self._bob.join(self._one, room_id)
        self._alice.redact(self._two, room_id, said[1])
        self._compare(room_id, said)

    def purges_history(self) -> None:
        room_id, said = self._room("10", messages=12)
        self._compare(room_id, said)
        purge = self._alice.post(
            self._main,
            f"/_synapse/admin/v1/purge_history/{room_id}",
            {"purge_up_to_event_id": said[8], "delete_local_events": True},
        )
        status = f"/_synapse/admin/v1/purge_history_status/{purge['purge_id']}"
        self._until(lambda: self._alice.get(self._main, status)["status"] == "complete")
        # Synapse tells its workers in a while; what they keep in memory is its own affair.
        self._cluster.restart("generic1", "generic2")
        self._compare(room_id, said)

    def purges_a_room(self) -> None:
        room_id, said = self._room("10", messages=6)
        self._compare(room_id, said)
        purge = self._call_delete(room_id)
        status = f"/_synapse/admin/v2/rooms/delete_status/{purge}"
        self._until(lambda: self._alice.get(self._main, status)["status"] == "complete")
        self._cluster.restart("generic1", "generic2")
        self._compare(room_id, said)

    def restarts_workers(self) -> None:
        room_id, said = self._room("10", messages=20)
        self._compare(room_id, said)
        self._cluster.restart("generic1", "generic2")
        self._compare(room_id, said)
        self._cluster.restart("persister1")
        self._alice.redact(self._one, room_id, said[0])
        self._compare(room_id, said)

    def kills_the_sidecar_in_traffic(self) -> None:
        sidecar = self._cluster.processes["sidecar"]

        def fault() -> None:
            sidecar.stop(signal.SIGKILL)
            time.sleep(1)
            sidecar.start()

        self._redact_during(fault)

    def freezes_a_reader(self) -> None:
        self._redact_during(lambda: self._freeze("generic1", 7))

    def freezes_the_persister(self) -> None:
        self._redact_during(lambda: self._freeze("persister1", 7))

    def _redact_during(self, fault: Callable[[], None]) -> None:
        """Says and redacts while the fault comes and goes, and compares all the time."""
        room_id, said = self._room("10", messages=20)
        self._compare(room_id, said[:2])
        thread = threading.Thread(target=fault)
        thread.start()
        redacted = 0
        while thread.is_alive() and redacted < len(said):
            self._alice.redact(self._two, room_id, said[redacted])
            redacted += 1
        thread.join()
        self._compare(room_id, said)

    def _freeze(self, name: str, seconds: float) -> None:
        process = self._cluster.processes[name]
        process.send(signal.SIGSTOP)
        time.sleep(seconds)
        process.send(signal.SIGCONT)

    def _room(self, version: str, messages: int) -> tuple[str, list[str]]:
        room_id = self._alice.create_room(self._one, version)
        self._bob.join(self._two, room_id)
        said = [self._alice.say(self._one, room_id, f"message {n}") for n in range(messages)]
        return room_id, said

    def _compare(self, room_id: str, event_ids: list[str]) -> None:
        self._comparison.room(self._alice, room_id, event_ids)

    def _call_delete(self, room_id: str) -> str:
        body = {"purge": True, "block": False}
        reply = call(
            self._main, "DELETE", f"/_synapse/admin/v2/rooms/{room_id}", body, self._alice.token
        )
        return str(reply["delete_id"])

    def _until(self, holds: Callable[[], bool], timeout_s: float = 60) -> None:
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
