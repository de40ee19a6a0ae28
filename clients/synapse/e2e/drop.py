"""Restarts of this and that, and of everything at once, as an upgrade does. The sidecar has a
PostgreSQL log and a tier, and nothing is to be dropped: what readers that have just started ask for
first is counted in reads of the database."""

from __future__ import annotations

from collections.abc import Callable

from .cluster import SYNAPSE
from .large_room import make_large_room, read_state
from .metrics import FETCHES, LOOKUPS, count
from .scenario import BOUND_S, Scenario

# The reader whose first reads are counted.
READER = "generic2"
ROOMS = 3
MESSAGES = 30
STATE_EVENTS = 1_000
LARGE_READS = 3


class Drop(Scenario):
    """Each method that `all` names is a scenario."""

    def all(self) -> list[Callable[[], None]]:
        return [
            self.rolls_the_sidecar_over_with_a_common_log,
            self.drops_nothing_when_anything_restarts,
            self.reads_a_large_room_from_the_sidecar_as_soon_as_it_has_started,
        ]

    def rolls_the_sidecar_over_with_a_common_log(self) -> None:
        """As an upgrade of the sidecar with overlap does: for a while some processes announce to
        the old one, and others read from the new one."""
        room_id, said = self.room("10", messages=12)
        self.warm(room_id, said)
        ways = self._cluster.proxies
        second = self._cluster.start_second_sidecar()
        # Whoever writes still has the first, then the second; the readers have either.
        for number, name in enumerate(("generic1", "persister1")):
            ways[name].lead_to(second)
            for event_id in said[number * 3 : number * 3 + 3]:
                self._alice.redact(self._two, room_id, event_id)
                self.compare(room_id, said[number * 3 : number * 3 + 3], fault_s=BOUND_S)
        self._cluster.processes["sidecar"].stop()
        self._alice.redact(self._two, room_id, said[6])
        self._comparison.processes(self._alice, room_id, said, fault_s=BOUND_S)
        self._cluster.processes["sidecar"].start()
        for way in ways.values():
            way.lead_to(self._cluster.socket)
        self._cluster.processes["sidecar2"].stop()
        self._alice.redact(self._two, room_id, said[7])
        self.compare(room_id, said, fault_s=BOUND_S)

    def drops_nothing_when_anything_restarts(self) -> None:
        self.until_open("persister1")
        rooms = [self.room("10", messages=MESSAGES) for _ in range(ROOMS)]

        def read() -> None:
            for room_id, _ in rooms:
                self._alice.messages(self._two, room_id)

        fetches, hits, misses = self._first_reads((), read)
        print(f"  read for the first time: {fetches} fetches, {hits} hits, {misses} misses")
        if self._cluster.bridge and misses > hits / 10:
            self._comparison.differences.append("what was stored was not put")
        for room_id, said in rooms:
            self.warm(room_id, said)
        restarts: dict[str, tuple[str, ...]] = {
            "a reader": (),
            "the event persister": ("persister1",),
            "the main process": ("main",),
            "all of Synapse": SYNAPSE,
            "the sidecar": ("sidecar",),
            "everything": ("sidecar", *SYNAPSE),
        }
        for what, names in restarts.items():
            fetches, hits, misses = self._first_reads(names, read)
            print(f"  after a restart of {what}: {fetches} fetches, {hits} hits, {misses} misses")
            if self._cluster.bridge and (fetches > 0 or misses > 0 or hits == 0):
                self._comparison.differences.append(f"a restart of {what} emptied the cache")
        # What it would be otherwise.
        self._comparison.empty_sidecar()
        fetches, hits, misses = self._first_reads((), read)
        print(f"  after the cache was emptied: {fetches} fetches, {hits} hits, {misses} misses")
        if fetches == 0:
            self._comparison.differences.append("the reads that were counted need no database")
        for room_id, said in rooms:
            self.compare(room_id, said[:3])

    def reads_a_large_room_from_the_sidecar_as_soon_as_it_has_started(self) -> None:
        """Many replies, of which the first ones are old when the last one comes."""
        room_id = make_large_room(self._cluster.ports["persister1"], self._alice, STATE_EVENTS)

        def read() -> None:
            read_state(self._two, self._alice, room_id)

        def is_warm() -> bool:
            fetches, _, _ = self._first_reads((), read)
            return fetches == 0

        if self._cluster.bridge:
            self.until(is_warm)
        for _ in range(LARGE_READS):
            fetches, hits, misses = self._first_reads((), read)
            print(f"  state of a large room: {fetches} fetches, {hits} hits, {misses} misses")
            if self._cluster.bridge and (fetches > 0 or misses > 0 or hits < STATE_EVENTS):
                self._comparison.differences.append("what the sidecar held was not used")
        said = [self._alice.say(self._one, room_id, "after all of it")]
        self.compare(room_id, said)

    def _first_reads(
        self, restarted: tuple[str, ...], read: Callable[[], None]
    ) -> tuple[int, int, int]:
        """What a reader that has just started fetches, and what it finds and misses."""
        self._cluster.restart(*dict.fromkeys((*restarted, READER)))
        self.until_open(READER)
        before = self._counts()
        read()
        after = self._counts()
        fetches, hits, misses = (int(now - then) for now, then in zip(after, before, strict=True))
        return fetches, hits, misses

    def _counts(self) -> tuple[float, float, float]:
        of_reader = (READER,)
        return (
            count(self._cluster, FETCHES, of_reader, '"_fetch_event_list"'),
            count(self._cluster, LOOKUPS, of_reader, 'result="hit"'),
            count(self._cluster, LOOKUPS, of_reader, 'result="miss"'),
        )
