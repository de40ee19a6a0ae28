"""A homeserver of one process, with the bridge switched on, for tests of Synapse's own storage."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from synapse.api.constants import EventTypes
from synapse.config.homeserver import HomeServerConfig
from synapse.logging.context import LoggingContext
from synapse.server import HomeServer
from synapse.storage.databases.main import DataStore
from synapse.storage.databases.main.events_worker import EventRedactBehaviour
from synapse.types import UserID, create_requester
from twisted.internet.defer import Deferred
from twisted.internet.selectreactor import SelectReactor
from twisted.python.failure import Failure

from splitcache_client.channel import Channels
from splitcache_client.gen import event_cache_service_pb2 as pb
from splitcache_client.transport import BlockingTransport
from splitcache_synapse import SplitcacheModule
from tests.loop_reactor import PATIENCE_S

NAME = "hooks.example"
ALICE, BOB = f"@alice:{NAME}", f"@bob:{NAME}"

_UNLIMITED = {"per_second": 10_000, "burst_count": 10_000}


def message(room_id: str) -> dict[str, Any]:
    """What a client of bob's asks to be sent."""
    content = {"msgtype": "m.text", "body": "x"}
    return {"type": EventTypes.Message, "room_id": room_id, "sender": BOB, "content": content}


def _config(folder: Path) -> HomeServerConfig:
    config = HomeServerConfig()
    config.parse_config_dict(
        {
            "server_name": NAME,
            "signing_key": "ed25519 a_lPym qvioDNmfExFBRPgdTU+wtFYKq4JfwFRv7sYVgWvmgJg",
            "macaroon_secret_key": "x",
            "media_store_path": str(folder / "media"),
            "trusted_key_servers": [],
            "send_federation": False,
            "report_stats": False,
            "update_user_directory_from_worker": "nobody",
            "database": {
                "name": "sqlite3",
                "args": {"database": str(folder / "synapse.db"), "cp_min": 1, "cp_max": 1},
            },
            # What was redacted may be censored at once.
            "redaction_retention_period": "0s",
            "rc_joins": {"local": _UNLIMITED, "remote": _UNLIMITED},
            "rc_joins_per_room": _UNLIMITED,
            "experimental_features": {"msc4293_enabled": True, "msc4354_enabled": True},
        },
        "",
        "",
    )
    return config


class _OneProcess(HomeServer):
    DATASTORE_CLASS = DataStore


class Homeserver:
    """Synapse with a database in a file, real threads and real time; the test turns its reactor.

    Asks the sidecar by a channel of its own as well, past every cache of Synapse.
    """

    def __init__(self, folder: Path, address: str, **options: object) -> None:
        """`options` are further keys of the module's configuration."""
        self.database = folder / "synapse.db"
        self.reactor: Any = SelectReactor()
        self.hs: Any = _OneProcess(NAME, config=_config(folder), reactor=self.reactor)
        self.hs.setup()
        self.store: Any = self.hs.get_datastores().main
        self._direct = BlockingTransport(Channels(address))
        bridge = {"address": address, "read_deadline": "5s", "audit": "0%", **options}
        module = SplitcacheModule(SplitcacheModule.parse_config(bridge), self.hs.get_module_api())
        assert module.bridge is not None
        self.module = module.bridge
        self.reactor.startRunning(installSignalHandlers=False)
        # Synapse censors only once it has made the index for it.
        self.run(lambda: self.store.db_pool.updates.run_background_updates(False))
        for name in ("alice", "bob"):
            self.run(partial(self.hs.get_registration_handler().register_user, name))

    def stop(self) -> None:
        self._direct.close()
        self.reactor.fireSystemEvent("shutdown")
        self.run_until(lambda: not self.reactor.threadpool or self.reactor.threadpool.joined)

    def run(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """Runs Synapse's code to its end, and no further than that."""
        results: list[Any] = []

        async def called() -> Any:
            with LoggingContext(name="test", server_name=NAME):
                return await call()

        Deferred.fromCoroutine(called()).addBoth(results.append)
        self.run_until(lambda: bool(results))
        (result,) = results
        if isinstance(result, Failure):
            result.raiseException()
        return result

    def run_until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < deadline, "did not come true in time"
            self.reactor.iterate(0.005)

    def held(self, event_id: str) -> pb.CachedEvent | None:
        """What the sidecar holds of the event at this moment."""
        request = pb.GetEventsRequest(
            homeserver=NAME, event_ids=[event_id], redaction_view=pb.REDACTION_VIEW_ORIGINAL
        )
        replies: list[Any] = []
        self._direct.unary("GetEvents", request, 5.0, replies.append)
        assert isinstance(replies[0], pb.GetEventsResponse), replies[0]
        return replies[0].events[0] if replies[0].events else None

    def stored(self, event_id: str) -> Any:
        """The event as Synapse reads it past its own caches; None if it has none."""
        self.store._get_event_cache._lru_cache.clear()
        self.store._event_ref.clear()
        return self.run(
            lambda: self.store.get_event(
                event_id,
                redact_behaviour=EventRedactBehaviour.as_is,
                allow_rejected=True,
                allow_none=True,
            )
        )

    def fill(self, event_id: str) -> pb.CachedEvent:
        """Reads the event until the sidecar holds it."""
        held: list[pb.CachedEvent] = []

        def is_held() -> bool:
            if self.module._outbox and self.module._outbox.is_open():
                self.stored(event_id)
            found = self.held(event_id)
            held.extend([found] if found else [])
            return found is not None

        self.run_until(is_held)
        return held[0]

    def room(self) -> str:
        """A room of alice's in which bob is."""
        config = {"preset": "public_chat", "room_version": "10"}
        room_id: str = self.run(
            lambda: self.hs.get_room_creation_handler().create_room(
                create_requester(ALICE), config, ratelimit=False
            )
        )[0]
        self.member(room_id, BOB, BOB, "join")
        return room_id

    def member(self, room_id: str, sender: str, target: str, action: str, **content: Any) -> str:
        event_id: str = self.run(
            lambda: self.hs.get_room_member_handler().update_membership(
                create_requester(sender),
                UserID.from_string(target),
                room_id,
                action,
                content=content,
                ratelimit=False,
            )
        )[0]
        return event_id

    def send(self, room_id: str, **more: Any) -> str:
        """Sends a message of bob's, or what `more` makes of it."""
        event_id: str = self.run(
            lambda: self.hs.get_event_creation_handler().create_and_send_nonmember_event(
                create_requester(BOB), {**message(room_id), **more}, ratelimit=False
            )
        )[0].event_id
        return event_id

    def redact(self, room_id: str, event_id: str) -> str:
        return self.send(room_id, type=EventTypes.Redaction, redacts=event_id)
