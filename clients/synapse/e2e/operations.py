"""What operators do: an upgrade process by process, and a failover of PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable

from .cluster import SYNAPSE
from .failover import Standby
from .scenario import BOUND_S, Scenario


class Operations(Scenario):
    """Each method that `all` names is a scenario. The failover is the last: it leaves another
    PostgreSQL."""

    def all(self) -> list[Callable[[], None]]:
        return [self.mixes_processes_with_and_without_the_module, self.fails_over_to_a_standby]

    def mixes_processes_with_and_without_the_module(self) -> None:
        """As while it is rolled out, or switched off: first a reader is without it, then whoever
        writes, who then announces nothing."""
        room_id, said = self.room("10", messages=12)
        self.warm(room_id, said)
        redacted = iter(said)
        for name in ("generic1", "persister1"):
            self._cluster.switch(name, enabled=False)
            for _ in range(3):
                self._alice.redact(self._two, room_id, next(redacted))
                self.compare(room_id, said, fault_s=BOUND_S)
            self._cluster.switch(name, enabled=True)
            self._alice.redact(self._two, room_id, next(redacted))
            self.compare(room_id, said, fault_s=BOUND_S)
        self.warm(room_id, said)
        self._alice.redact(self._two, room_id, next(redacted))
        self.compare(room_id, said)

    def fails_over_to_a_standby(self) -> None:
        """It lacks the last commits: the sidecar may not keep what they stored or changed."""
        room_id, said = self.room("10", messages=8)
        self.compare(room_id, said)
        standby = Standby(self._cluster)
        self._alice.redact(self._one, room_id, said[0])
        self.until(lambda: standby.has_redaction_of(said[0]))
        standby.stop()
        self._alice.redact(self._one, room_id, said[1])
        lost = self._alice.say(self._one, room_id, "never copied")
        self.compare(room_id, [*said, lost])
        self.warm(room_id, [*said, lost])
        standby.take_over()
        if lost in self._comparison.stored(room_id):
            self._comparison.differences.append("the standby lacks nothing: this shows nothing")
        # What Synapse keeps in its own memory is its own affair.
        self._comparison.sidecar(room_id, [*said, lost], within_s=BOUND_S)
        self._cluster.restart(*SYNAPSE)
        self.compare(room_id, [*said, lost])
        self.warm(room_id, said)
        self._alice.redact(self._one, room_id, said[2])
        self.compare(room_id, [*said, lost])
