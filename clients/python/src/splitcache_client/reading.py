"""One call that reads events, apart from how it waits."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from splitcache_client.core import Core
from splitcache_client.event import Event
from splitcache_client.gen import event_cache_service_pb2 as pb
from splitcache_client.lookups import Lookup
from splitcache_client.options import IDS_MAX


class Position(NamedTuple):
    """A place in the homeserver's log of changes."""

    epoch: bytes
    sequence: int


class Found(NamedTuple):
    """What a read found."""

    # By event ID.
    events: dict[str, Event]
    missing: tuple[str, ...]
    # The position for filling what is missing: it is from before any database read that follows.
    # None: nothing may be filled.
    as_of: Position | None


class Reading:
    """Near cache, sidecar, then the caller's database."""

    def __init__(self, core: Core, event_ids: Iterable[str]) -> None:
        self._core = core
        wanted = dict.fromkeys(event_ids)
        if len(wanted) > IDS_MAX:
            raise ValueError(f"event_ids must be at most {IDS_MAX}")
        self._wanted = tuple(wanted)
        self._near = core.near_hits(wanted)
        self._lookup: Lookup | None = None
        self._fetched: dict[str, Event] = {}

    @property
    def to_ask(self) -> list[str]:
        if len(self._near) == len(self._wanted):
            return []
        return [one for one in self._wanted if one not in self._near]

    def answered(self, lookup: Lookup | None) -> None:
        """None: there was no answer in time."""
        self._lookup = lookup

    def found(self) -> Found:
        """What may be used now."""
        if len(self._near) == len(self._wanted):
            # In the order of the call, and the caller's own.
            return Found(dict(self._near), (), None)
        hits = dict(self._near)
        as_of: Position | None = None
        if self._lookup is not None:
            hits |= self._core.usable(self._lookup)
            position = self._lookup.position
            if position is not None:
                as_of = Position(position.epoch, position.sequence)
        return self._found(hits, as_of)

    def found_again(self) -> Found:
        """What may be used after a wait of any length: what is kept is judged a second time."""
        near = self._core.near_hits(self._near) if self._near else {}
        if len(near) < len(self._near):
            self._near = near
        return self.found()

    def fetched(self, events: Iterable[Event], asked: Iterable[str], found: Found) -> list[Event]:
        """Takes what the database has of the IDs. Returns what is to be put."""
        wanted = frozenset(asked)
        brought = list(events)
        for event in brought:
            if event.event_id not in wanted:
                raise ValueError(
                    f"fetch returned an event that was not asked for: {event.event_id}"
                )
            self._fetched[event.event_id] = event
        return brought if found.as_of is not None else []

    def _found(self, hits: dict[str, Event], as_of: Position | None) -> Found:
        every = hits | self._fetched
        missing = tuple(one for one in self._wanted if one not in every)
        # In the order of the call.
        events = {one: every[one] for one in self._wanted if one in every}
        return Found(events, missing, as_of)


def message(as_of: Position) -> pb.Position:
    return pb.Position(epoch=as_of.epoch, sequence=as_of.sequence)
