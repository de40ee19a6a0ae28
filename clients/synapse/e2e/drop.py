"""Restarts of this and that, and of everything at once, as an upgrade does. The sidecar has a
PostgreSQL log and a tier, and nothing is to be dropped: what readers that have just started ask for
first is counted in reads of the database."""

from __future__ import annotations

from collections.abc import Callable

from .cluster import SYNAPSE
from .figures import FETCHES, LOOKUPS, count
from .scenario import Scenario

# The reader whose first reads are counted.
READER = "generic2"
ROOMS = 3
MESSAGES = 30


class Drop(Scenario):
    """Each method that `all` names is a scenario."""

    def all(self) -> list[Callable[[], None]]:
        return [self.drops_nothing_when_anything_restarts]

    def drops_nothing_when_anything_restarts(self) -> None:
        self.until_open("persister1")
        rooms = [self.room("10", messages=MESSAGES) for _ in range(ROOMS)]
        room_ids = [room_id for room_id, _ in rooms]
        fetches, hits, misses = self._first_reads((), room_ids)
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
            fetches, hits, misses = self._first_reads(names, room_ids)
            print(f"  after a restart of {what}: {fetches} fetches, {hits} hits, {misses} misses")
            if self._cluster.bridge and (fetches > 0 or misses > 0 or hits == 0):
                self._comparison.differences.append(f"a restart of {what} emptied the cache")
        # What it would be otherwise.
        self._comparison.empty_sidecar()
        fetches, hits, misses = self._first_reads((), room_ids)
        print(f"  after the cache was emptied: {fetches} fetches, {hits} hits, {misses} misses")
        if fetches == 0:
            self._comparison.differences.append("the reads that were counted need no database")
        for room_id, said in rooms:
            self.compare(room_id, said[:3])

    def _first_reads(self, restarted: tuple[str, ...], room_ids: list[str]) -> tuple[int, int, int]:
        """What a reader that has just started fetches, and what it finds and misses."""
        self._cluster.restart(*dict.fromkeys((*restarted, READER)))
        self.until_open(READER)
        before = self._counts()
        for room_id in room_ids:
            self._alice.messages(self._two, room_id)
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
