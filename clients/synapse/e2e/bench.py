"""A homeserver with rooms to read, and the readers that read them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import quote

from .client import User, call
from .cluster import Cluster
from .large_room import TIMEOUT_S, make_large_room, read_state
from .readers import Cost, Meter, Reader
from .resolver import PATH as RESOLVE
from .sidecar_reader import SidecarReader

CHAT_ROOMS, MESSAGES = 6, 100

Load = Callable[[int], object]


@dataclass
class Bench:
    """All writing goes through processes with the
    module, so that what is stored is put into the sidecar."""

    cluster: Cluster
    state_events: int
    workers: tuple[int, ...]
    chat_rooms: dict[str, list[str]] = field(default_factory=dict)
    large_room: str = ""
    # From before there were messages.
    since: str = ""
    _started: set[str] = field(default_factory=set)

    @cached_property
    def user(self) -> User:
        return User(self.cluster.ports["main"], "reader")

    @cached_property
    def founder(self) -> User:
        return User(self.cluster.ports["main"], "founder")

    def make_chat_rooms(self) -> None:
        """Rooms with messages, and the IDs of these."""
        if self.chat_rooms:
            return
        port = self.cluster.ports["generic1"]
        rooms = [self.user.create_room(port, "10") for _ in range(CHAT_ROOMS)]
        self.since = self.user.sync(port)["next_batch"]

        def fill(room_id: str) -> list[str]:
            return [self.user.say(port, room_id, f"message {n}") for n in range(MESSAGES)]

        with ThreadPoolExecutor(3) as threads:
            self.chat_rooms.update(zip(rooms, threads.map(fill, rooms), strict=True))

    def make_large_room(self) -> None:
        """A room with many state events, made by a user of its own: others sync without it."""
        if self.large_room:
            return
        port = self.cluster.ports["persister1"]
        self.large_room = make_large_room(port, self.founder, self.state_events)

    def messages(self, port: int) -> None:
        for room_id in self.chat_rooms:
            self.user.messages(port, room_id)

    def initial_sync(self, port: int) -> None:
        self.user.sync(port)

    def incremental_sync(self, port: int) -> None:
        for room_id in self.chat_rooms:
            self.user.sync_since(port, room_id, self.since)

    def context(self, port: int) -> None:
        for room_id, said in self.chat_rooms.items():
            event_id = quote(said[len(said) // 2], safe="")
            path = f"/_matrix/client/v3/rooms/{quote(room_id, safe='')}/context/{event_id}"
            self.user.get(port, f"{path}?limit=50")

    def state(self, port: int) -> None:
        read_state(port, self.founder, self.large_room)

    def resolve(self, port: int) -> None:
        room_id = quote(self.large_room, safe="")
        call(port, "GET", f"{RESOLVE}?room_id={room_id}", timeout_s=TIMEOUT_S)

    def start(self, readers: Iterable[Reader]) -> None:
        new = [reader for reader in readers if reader.name not in self._started]
        for reader in new:
            self._started.add(reader.name)
            reader.launch(self.cluster)
        for reader in new:
            reader.until_ready(self.cluster)

    def stop(self, readers: Iterable[Reader]) -> None:
        for reader in readers:
            self.cluster.processes[reader.name].stop()
            self._started.discard(reader.name)

    def cost(self, reader: Reader, load: Load) -> Cost:
        with Meter(self.cluster, reader.name) as meter:
            load(self.cluster.ports[reader.name])
        # What was missed is put, and what is put is counted by nobody else.
        time.sleep(0.5)
        return meter.cost

    def cold_and_warm(self, reader: Reader, load: Load) -> tuple[Cost, Cost]:
        """Of a worker that has just started, and of the same when it is asked once more."""
        reader.restart(self.cluster)
        return self.cost(reader, load), self.cost(reader, load)

    def empty_sidecar(self) -> None:
        SidecarReader(self.cluster.socket).empty(self.cluster.own.name)
