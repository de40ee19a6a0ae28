"""A reader's and writer's half, as one process of the homeserver has them, without Synapse."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from prometheus_client import REGISTRY
from synapse.storage.engines import create_engine

from splitcache_client.channel import Channels
from splitcache_client.gen import event_cache_service_pb2 as pb
from splitcache_client.near_cache import NearCache
from splitcache_client.outbox import Outbox
from splitcache_client.outbox_rules import OutboxRules
from splitcache_client.outbox_table import OutboxTable
from splitcache_client.pending import Pending
from splitcache_client.relay import Relay
from splitcache_client.subscription import Subscription
from splitcache_client.transport import GrpcTransport
from splitcache_synapse.announcer import Announcer
from splitcache_synapse.metrics import BridgeMetrics
from splitcache_synapse.outbox_database import OutboxDatabase, insert
from splitcache_synapse.sidecar import Sidecar
from tests.loop_reactor import LoopReactor

HOME = "alpha.example"
ROOM = "!room:alpha.example"


def sqlite_database(path: Path) -> OutboxDatabase:
    config = {"name": "sqlite3", "args": {"database": str(path)}}
    database = OutboxDatabase(create_engine(config), SimpleNamespace(config=config))
    database.create_tables()
    return database


class Dropped:
    """Notes what is to be dropped from Synapse's own caches."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.rooms: list[str] = []
        self.everything_times = self.kept_times = 0

    def event(self, event_id: str) -> None:
        self.events.append(event_id)

    def room(self, room_id: str) -> None:
        self.rooms.append(room_id)

    def everything(self) -> None:
        self.everything_times += 1

    def kept(self) -> None:
        self.kept_times += 1


class Bridge:
    """All processes of a homeserver have its database in common: one in the folder."""

    def __init__(
        self,
        address: str,
        folder: Path,
        *,
        homeserver: str = HOME,
        epoch_silence_s: float = 30.0,
        channels: Channels | None = None,
    ) -> None:
        channels = channels or Channels(address)
        self.reactor = LoopReactor()
        self.metrics = BridgeMetrics(HOME)
        self.transport = GrpcTransport(channels, self.reactor)
        self.path = folder / f"{homeserver}.db"
        self.rules = OutboxRules(epoch_silence_s=epoch_silence_s)
        self.near = NearCache()
        self.dropped = Dropped()
        common: dict[str, Any] = {"reactor": self.reactor, "monotonic": time.monotonic}
        self.outbox = Outbox(
            table=OutboxTable(sqlite_database(self.path), time.monotonic),
            relay=Relay(channels, homeserver, self.metrics),
            rules=self.rules,
            metrics=self.metrics,
            **common,
        )
        common |= {"homeserver": homeserver}
        self.sidecar = Sidecar(
            transport=self.transport,
            read_deadline_s=5.0,
            metrics=self.metrics,
            freshness=self.outbox,
            near=self.near,
            prepare=lambda entry: lambda: entry,
            decode=lambda cached: cached,
            **common,
        )
        self.announcer = Announcer(
            transport=self.transport, freshness=self.outbox, metrics=self.metrics, **common
        )
        self.subscription = Subscription(
            open_call=self.transport.subscribe,
            subscriber="test",
            near=self.near,
            drop=self.dropped,
            **common,
        )
        self.rules.pool_showed("sqlite")
        self.outbox.start()
        self.sidecar.start()
        self.subscription.start()

    def ready(self) -> Bridge:
        """Until it reads and fills."""
        self.reactor.run_until(lambda: self.look("$probe").position is not None)
        return self

    def look(self, *event_ids: str) -> Any:
        return self.reactor.result_of(self.sidecar.lookup(event_ids))

    def fill(self, *event_ids: str) -> None:
        """Puts the events, by the position of a lookup that missed."""
        position = self.look(*event_ids).position
        self.sidecar.put([event(one) for one in event_ids], position)
        self.reactor.run_until(lambda: set(self.look(*event_ids).hits) == set(event_ids))

    def commit(self, *event_ids: str, room: bool = False) -> Pending:
        """Commits a transaction that changes the events, and announces nothing."""
        pending = Pending()
        if room:
            pending.add_room(ROOM)
        else:
            pending.add_events(ROOM, event_ids)
        connection = sqlite3.connect(self.path)
        insert(connection.cursor(), pending)
        connection.commit()
        connection.close()
        return pending

    def announce(self, *event_ids: str, room: bool = False) -> None:
        pending = self.commit(*event_ids, room=room)
        self.reactor.result_of(self.announcer.finish(pending))

    def rows(self) -> list[str]:
        """What stands in the outbox."""
        connection = sqlite3.connect(self.path)
        found = [row for (row,) in connection.execute("SELECT id FROM splitcache_outbox")]
        connection.close()
        return found

    def stop(self) -> None:
        self.subscription.stop()
        self.outbox.stop()
        self.outbox.thread.join(20)
        self.sidecar.stop()


def event(event_id: str, size: int = 2) -> pb.CachedEvent:
    body = b'{"type":"m.room.message","x":"' + b"x" * size + b'"}'
    return pb.CachedEvent(event_id=event_id, room_id=ROOM, room_version="10", body=body)


def requests() -> float:
    return sample("splitcache_bridge_lookup_batch_size_count")


def fills(outcome: str) -> float:
    return sample("splitcache_bridge_fills_total", outcome=outcome)


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, {"server_name": HOME, **labels}) or 0.0
