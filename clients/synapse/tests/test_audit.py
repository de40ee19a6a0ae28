"""A share of what the sidecar serves is compared with the database, in the background."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Any

import pytest
from prometheus_client import REGISTRY
from synapse.storage.databases.main.events_worker import EventCacheEntry
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from splitcache_client.gen import event_cache_service_pb2 as pb
from splitcache_client.lookups import Lookup
from splitcache_synapse.audit import (
    BATCH_MAX,
    CONFIRM_AFTER_S,
    CONFIRMING_MAX,
    PAUSE_S,
    WAITING_MAX,
    Audit,
)
from splitcache_synapse.audited import AuditedSidecar, ShadowedSidecar
from splitcache_synapse.metrics import AuditMetrics
from tests.test_comparison import entry

SAME, OTHER = entry(), entry(outlier=True)
ID = SAME.event.event_id
POSITION = pb.Position(epoch=b"1" * 16, sequence=7)


class World:
    """A database and a sidecar, as the audit sees them; each may be changed by the test."""

    def __init__(self, share: float = 1.0, server: str = "audited.example", **more: Any) -> None:
        self.clock = Clock()
        self.server = server
        self.stored: dict[str, EventCacheEntry] = {}
        self.held: dict[str, EventCacheEntry] = {}
        self.read: list[list[str]] = []
        self.put_into: list[tuple[list[EventCacheEntry], pb.Position]] = []
        self.before = self.counts()
        self.audit = Audit(
            share=share,
            read_database=self.read_database,
            lookup=self.lookup,
            reactor=self.clock,
            server_name=server,
            metrics=AuditMetrics(server),
            **more,
        )

    async def read_database(self, event_ids: Collection[str]) -> dict[str, EventCacheEntry]:
        self.read.append(sorted(event_ids))
        return {one: self.stored[one] for one in event_ids if one in self.stored}

    def lookup(self, event_ids: Collection[str]) -> Deferred[Lookup]:
        hits = {one: self.held[one] for one in event_ids if one in self.held}
        return succeed(Lookup(hits, frozenset(hits), POSITION))

    def put(self, entries: Collection[EventCacheEntry], as_of: pb.Position) -> None:
        self.put_into.append((list(entries), as_of))

    def patience_s(self, event_ids: Collection[str]) -> float:
        return 5.0

    def counts(self) -> dict[str, float]:
        return {
            outcome: REGISTRY.get_sample_value(
                "splitcache_bridge_audits_total",
                {"server_name": self.server, "outcome": outcome},
            )
            or 0.0
            for outcome in ("same", "different", "changed", "unconfirmed", "dropped", "failed")
        }

    def audited(self) -> dict[str, float]:
        """What came of the audits of this test."""
        found = {outcome: n - self.before[outcome] for outcome, n in self.counts().items()}
        return {outcome: n for outcome, n in found.items() if n}

    def turn(self, seconds: float = PAUSE_S) -> None:
        self.clock.advance(seconds)


def test_a_hit_that_is_as_the_database_says_is_counted() -> None:
    world = World()
    world.stored = {ID: SAME}
    world.audit.hits({ID: SAME})
    # Nobody waits for it.
    assert world.read == []
    world.turn()
    assert world.read == [[ID]]
    assert world.audited() == {"same": 1}


def test_a_difference_that_lasts_is_an_error_with_its_fields_and_no_content(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    world.stored, world.held = {ID: SAME}, {ID: OTHER}
    world.audit.hits({ID: OTHER})
    world.turn()
    # It may be a change on its way.
    assert world.audited() == {}
    world.turn(CONFIRM_AFTER_S)
    assert world.audited() == {"different": 1}
    (error,) = [one.getMessage() for one in caplog.records if one.levelno == logging.ERROR]
    assert error == (
        f"splitcache: the sidecar's entry of {ID} is not what the database says; "
        "fields: internal_metadata.outlier"
    )
    labels = {"server_name": world.server}
    assert REGISTRY.get_sample_value("splitcache_bridge_audit_differences_total", labels)


def test_an_event_that_is_not_stored_any_longer_is_a_difference(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    world.held = {ID: SAME}
    world.audit.hits({ID: SAME})
    world.turn()
    world.turn(CONFIRM_AFTER_S)
    assert world.audited() == {"different": 1}
    assert "fields: stored" in caplog.text


def mend(world: World) -> None:
    world.held = {ID: SAME}


def remove(world: World) -> None:
    """From both."""
    world.held, world.stored = {}, {}


def change_while_it_is_read(world: World) -> None:
    """Between the two readings of the database."""
    lookup = world.lookup

    def changing(event_ids: Collection[str]) -> Deferred[Lookup]:
        found = lookup(event_ids)
        world.stored = {ID: entry(rejected_reason="late")}
        return found

    world.audit._lookup = changing


@pytest.mark.parametrize("change", [mend, remove, change_while_it_is_read])
def test_what_a_change_explains_is_no_difference(
    change: Any, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    world.stored, world.held = {ID: SAME}, {ID: OTHER}
    world.audit.hits({ID: OTHER})
    world.turn()
    change(world)
    world.turn(CONFIRM_AFTER_S)
    assert world.audited() == {"changed": 1}
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR]


def test_a_difference_that_the_sidecar_no_longer_has_is_not_confirmed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A change on its way, or a wrong answer: it cannot be told any more."""
    world = World()
    world.stored, world.held = {ID: SAME}, {ID: OTHER}
    world.audit.hits({ID: OTHER})
    world.turn()
    world.held = {}
    world.turn(CONFIRM_AFTER_S)
    assert world.audited() == {"unconfirmed": 1}
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR]


def test_what_waits_is_bounded_and_what_is_dropped_is_counted() -> None:
    world = World()
    for _ in range(WAITING_MAX + 3):
        world.audit.hits({ID: SAME})
    assert world.audited() == {"dropped": 3}


def test_differences_that_wait_are_bounded() -> None:
    world = World()
    for _ in range(WAITING_MAX + 3):
        world.audit.compare(ID, {"stored": True}, None)
    assert world.audited() == {"dropped": 3}


def test_differences_are_confirmed_a_few_at_a_time_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    world.stored, world.held = {ID: SAME}, {ID: OTHER}
    looked_up: list[Deferred[Lookup]] = []

    def lookup(event_ids: Collection[str]) -> Deferred[Lookup]:
        looked_up.append(Deferred())
        return looked_up[-1]

    world.audit._lookup = lookup
    for _ in range(3 * CONFIRMING_MAX):
        world.audit.hits({ID: OTHER})
    world.turn()
    world.turn(CONFIRM_AFTER_S)
    for answered in range(1, 4):
        assert len(looked_up) == answered * CONFIRMING_MAX
        for one in looked_up[-CONFIRMING_MAX:]:
            one.callback(Lookup({ID: OTHER}, frozenset(), POSITION))
        world.turn(0)
    assert world.audited() == {"different": 3 * CONFIRMING_MAX}
    assert len([one for one in caplog.records if one.levelno == logging.ERROR]) == 1


def test_the_database_is_read_a_batch_at_a_time() -> None:
    world = World()
    for _ in range(BATCH_MAX + 1):
        world.audit.hits({ID: SAME})
    world.turn()
    assert len(world.read) == 1
    world.turn()
    world.turn()
    assert len(world.read) == 2


def test_a_database_that_fails_is_counted_and_the_audit_goes_on() -> None:
    world = World()
    world.stored = {ID: SAME}
    read = world.audit._read_database

    async def fail(event_ids: Collection[str]) -> Any:
        raise RuntimeError("away")

    world.audit._read_database = fail
    world.audit.hits({ID: SAME})
    world.turn()
    world.audit._read_database = read
    world.audit.hits({ID: SAME})
    world.turn()
    assert world.audited() == {"failed": 1, "same": 1}


def test_a_second_reading_that_is_never_answered_ends() -> None:
    world = World()
    world.stored = {ID: SAME}
    world.audit._lookup = lambda event_ids: Deferred()
    world.audit.hits({ID: OTHER})
    world.turn()
    world.turn(CONFIRM_AFTER_S)
    world.turn(CONFIRM_AFTER_S)
    assert world.audited() == {"failed": 1}


def test_stopped_it_reads_nothing() -> None:
    world = World()
    world.audit.hits({ID: SAME})
    world.audit.stop()
    world.turn()
    assert world.read == []


@pytest.mark.parametrize(
    ("share", "least", "most"), [(0.0, 0, 0), (0.5, 400, 600), (1.0, 1000, 1000)]
)
def test_audits_the_share(share: float, least: int, most: int) -> None:
    numbers = iter(range(1, 10_000))
    # As evenly spread as a random number, and the same in each run.
    world = World(share, uniform=lambda: next(numbers) * 0.618034 % 1)
    added: list[str] = []
    world.audit.add = lambda event_id, served: added.append(event_id)  # type: ignore[method-assign]
    for size in (1, 9, 90, 900):
        world.audit.hits({f"${n}": SAME for n in range(size)})
    assert least <= len(added) <= most


def test_a_lookup_through_the_audit_is_the_same_lookup() -> None:
    world = World()
    world.stored = world.held = {ID: SAME}
    audited: Any = AuditedSidecar(world, world.audit)  # type: ignore[arg-type]
    found: list[Lookup] = []
    audited.lookup([ID]).addCallback(found.append)
    assert found == [Lookup({ID: SAME}, frozenset([ID]), POSITION)]
    assert audited.patience_s([ID]) == 5.0
    world.turn()
    assert world.audited() == {"same": 1}


def test_a_fault_of_the_audit_is_no_reader_s(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.held = {ID: SAME}
    world.audit.hits = None  # type: ignore[assignment, method-assign]
    found: list[Lookup] = []
    AuditedSidecar(world, world.audit).lookup([ID]).addCallback(found.append)  # type: ignore[arg-type]
    assert list(found[0].hits) == [ID]
    assert "reads were not audited" in caplog.text


class Shadow(World):
    def __init__(self) -> None:
        super().__init__(share=0.001)
        self.shadowed: Any = ShadowedSidecar(
            self,  # type: ignore[arg-type]
            self.audit,
            self.clock,
            self.clock.seconds,
        )

    def served(self, *event_ids: str) -> Lookup:
        found: list[Lookup] = []
        self.shadowed.lookup(event_ids).addCallback(found.append)
        return found[0]


def test_in_shadow_readers_get_nothing_from_the_sidecar() -> None:
    world = Shadow()
    world.held = {ID: OTHER}
    assert world.served(ID, "$missing") == Lookup({}, frozenset(), POSITION)


def test_in_shadow_what_the_reader_has_read_is_compared_and_only_misses_are_put() -> None:
    world = Shadow()
    world.held = {ID: SAME}
    world.served(ID, "$missing")
    world.shadowed.put([SAME], POSITION)
    assert world.audited() == {"same": 1}
    assert world.put_into == [([], POSITION)]
    world.shadowed.put([SAME], POSITION)
    assert world.put_into[1:] == [([SAME], POSITION)]


def test_in_shadow_a_difference_is_confirmed_like_any_other() -> None:
    world = Shadow()
    world.held, world.stored = {ID: OTHER}, {ID: SAME}
    world.served(ID)
    world.shadowed.put([SAME], POSITION)
    world.turn(CONFIRM_AFTER_S)
    assert world.audited() == {"different": 1}


def test_in_shadow_a_hit_that_the_database_does_not_have_is_found() -> None:
    """No reader puts it: the audit reads by itself."""
    world = Shadow()
    world.held = {ID: SAME}
    world.served(ID)
    for _ in range(20):
        world.turn(1.0)
    world.turn(CONFIRM_AFTER_S)
    assert world.audited() == {"different": 1}


def test_in_shadow_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("splitcache_synapse.audited._SHADOWED_MAX", 2)
    world = Shadow()
    world.stored = world.held = {f"${n}": SAME for n in range(5)}
    world.served(*world.held)
    assert len(world.shadowed._shadowed) == 2
    world.turn()
    assert world.audited() == {"same": 3}


def test_in_shadow_a_large_lookup_is_compared_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would keep the reactor from all else. What is not compared is counted, and not put."""
    monkeypatch.setattr("splitcache_synapse.audited._OF_A_LOOKUP_MAX", 0)
    world = Shadow()
    world.held = {ID: SAME}
    world.served(ID)
    world.shadowed.put([SAME], POSITION)
    assert world.audited() == {"dropped": 1}
    assert world.put_into == [([], POSITION)]
