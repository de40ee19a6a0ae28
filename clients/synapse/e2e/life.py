"""What happens to a homeserver in its life. After each, every process is compared with the
database."""

from __future__ import annotations

from collections.abc import Callable

from .client import User
from .scenario import GENERIC, Scenario

# Every room version whose events differ in form or in what a redaction keeps.
ROOM_VERSIONS = ("1", "3", "6", "9", "10", "11", "12")


class Life(Scenario):
    """Each method that `all` names is a scenario."""

    def all(self) -> list[Callable[[], None]]:
        return [
            self.redacts_in_every_room_version,
            self.edits_and_reacts,
            self.bans_with_redaction,
            self.kicks_leaves_and_rejoins,
            self.purges_history,
            self.purges_a_room,
            self.purges_and_rejoins_over_federation,
            self.shares_the_sidecar_with_another_homeserver,
        ]

    def redacts_in_every_room_version(self) -> None:
        for version in ROOM_VERSIONS:
            room_id, said = self.room(version, messages=6)
            self.compare(room_id, said)
            for event_id in said[::2]:
                self._alice.redact(self._one, room_id, event_id)
            self.compare(room_id, said)

    def edits_and_reacts(self) -> None:
        room_id, said = self.room("10", messages=4)
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
        self.compare(room_id, [*said, edit])
        self._alice.redact(self._two, room_id, edit)
        self.compare(room_id, [*said, edit])

    def bans_with_redaction(self) -> None:
        room_id, said = self.room("11", messages=2)
        said += [self._bob.say(self._two, room_id, f"of bob {n}") for n in range(4)]
        self.compare(room_id, said)
        self._alice.remove(
            self._one,
            room_id,
            self._bob.user_id,
            "ban",
            **{"org.matrix.msc4293.redact_events": True},
        )
        # Synapse drops what is redacted from the memory of its event persister alone; the other
        # processes hear of it from the sidecar.
        self.compare(room_id, said, GENERIC)
        self._alice.remove(self._one, room_id, self._bob.user_id, "unban")
        self._bob.join(self._two, room_id)
        said.append(self._bob.say(self._two, room_id, "back again"))
        self.compare(room_id, said, GENERIC)

    def kicks_leaves_and_rejoins(self) -> None:
        room_id, said = self.room("9", messages=4)
        self._alice.remove(self._one, room_id, self._bob.user_id, "kick")
        self._bob.join(self._two, room_id)
        self._bob.leave(self._two, room_id)
        self._bob.join(self._one, room_id)
        self._alice.redact(self._two, room_id, said[1])
        self.compare(room_id, said)

    def purges_history(self) -> None:
        room_id, said = self.room("10", messages=12)
        self.compare(room_id, said)
        purge = self._alice.post(
            self._main,
            f"/_synapse/admin/v1/purge_history/{room_id}",
            {"purge_up_to_event_id": said[8], "delete_local_events": True},
        )
        status = f"/_synapse/admin/v1/purge_history_status/{purge['purge_id']}"
        self.until(lambda: self._alice.get(self._main, status)["status"] == "complete")
        # Synapse tells its workers in a while; what they keep in memory is its own affair.
        self._cluster.restart(*GENERIC)
        self.compare(room_id, said)

    def purges_a_room(self) -> None:
        room_id, said = self.room("10", messages=6)
        self.compare(room_id, said)
        self.warm(room_id, said)
        self.purge_room(room_id)
        if self._comparison.sidecar_holds(said, any_of_them=True):
            self._comparison.differences.append("the sidecar holds events of a purged room")
        self._cluster.restart(*GENERIC)
        self.compare(room_id, said)

    def purges_and_rejoins_over_federation(self) -> None:
        """Synapse once took what it still had in memory of a purged room for stored (#11521)."""
        other, carol = self._neighbour()
        room_id = carol.create_room(other, "10")
        said = [carol.say(other, room_id, f"of carol {n}") for n in range(6)]
        self._alice.join(self._one, room_id, via=self._cluster.neighbour.name)
        said += [self._alice.say(self._one, room_id, f"of alice {n}") for n in range(3)]
        listed = self._backfilled(room_id, said)
        self.compare(room_id, listed)
        self.warm(room_id, listed)
        self.purge_room(room_id)
        if self._comparison.sidecar_holds(listed, any_of_them=True):
            self._comparison.differences.append("the sidecar holds events of a purged room")
        self._alice.join(self._two, room_id, via=self._cluster.neighbour.name)
        # While this homeserver was out of the room.
        gone = carol.redact(other, room_id, said[0])
        self._until_arrived(room_id, gone)
        listed = self._backfilled(room_id, said)
        self.compare(room_id, listed)
        said.append(self._alice.say(self._one, room_id, "back again"))
        self.compare(room_id, [*listed, said[-1]])
        self._cluster.restart(*GENERIC)
        self.compare(room_id, [*listed, said[-1]])

    def shares_the_sidecar_with_another_homeserver(self) -> None:
        """Both have the same events; what one does to its own is no matter of the other's."""
        other, carol = self._neighbour()
        room_id = carol.create_room(other, "11")
        self._alice.join(self._one, room_id, via=self._cluster.neighbour.name)
        said = [carol.say(other, room_id, f"of both {n}") for n in range(6)]
        self._until_arrived(room_id, said[-1])
        self.compare(room_id, said)
        self.warm(room_id, said)
        self.purge_room(room_id)
        seen = [carol.event(other, room_id, event_id)["content"]["body"] for event_id in said]
        if seen != [f"of both {n}" for n in range(6)]:
            self._comparison.differences.append(f"after alice's homeserver purged: {seen}")
        if self._comparison.sidecar_holds(said, any_of_them=True):
            self._comparison.differences.append("the sidecar holds events of a purged room")

    def _neighbour(self) -> tuple[int, User]:
        self._cluster.start_neighbour()
        port = self._cluster.ports["neighbour"]
        if self._carol is None:
            self._carol = User(port, "carol")
        return port, self._carol

    _carol: User | None = None

    def _backfilled(self, room_id: str, event_ids: list[str]) -> list[str]:
        """Scrolls back until what was said before this homeserver joined has come."""

        def come() -> bool:
            self._alice.messages(self._one, room_id)
            return self._comparison.stored(room_id).issuperset(event_ids)

        self.until(come)
        return event_ids

    def _until_arrived(self, room_id: str, event_id: str) -> None:
        self.until(lambda: event_id in self._comparison.stored(room_id))
