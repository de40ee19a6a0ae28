"""What goes wrong around a homeserver. During and after each, it is compared with the database."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable

from .client import HttpError
from .cluster import SYNAPSE
from .metrics import LOOKUPS, count
from .proxy import Proxy
from .scenario import BOUND_S, GENERIC, Scenario

# How long a write waits for its announcement at most.
WRITE_WAIT_S = 4.0


class Faults(Scenario):
    """Each method that `all` names is a scenario."""

    def all(self) -> list[Callable[[], None]]:
        return [
            self.restarts_workers,
            self.restarts_all_of_synapse,
            self.restarts_the_sidecar,
            self.kills_the_sidecar_in_traffic,
            self.freezes_a_reader,
            self.asks_a_reader_that_was_frozen,
            self.freezes_the_persister,
            self.cuts_a_reader_off,
            self.cuts_the_persister_off,
            self.kills_a_persister_that_owes_an_announcement,
            self.rolls_the_sidecar_over,
        ]

    @property
    def _persister_way(self) -> Proxy:
        return self._cluster.proxies["persister1"]

    def restarts_workers(self) -> None:
        room_id, said = self.room("10", messages=20)
        self.compare(room_id, said)
        self._cluster.restart(*GENERIC)
        self.compare(room_id, said)
        self._cluster.restart("persister1")
        self._alice.redact(self._one, room_id, said[0])
        self.compare(room_id, said)

    def restarts_all_of_synapse(self) -> None:
        """As an upgrade does. The sidecar stays warm."""
        room_id, said = self.room("10", messages=6)
        self.warm(room_id, said)
        self._cluster.restart(*SYNAPSE)
        if self._cluster.bridge and not self._comparison.sidecar_holds(said):
            self._comparison.differences.append("a restart of Synapse emptied the sidecar")
        self._alice.redact(self._one, room_id, said[0])
        self.compare(room_id, said)

    def restarts_the_sidecar(self) -> None:
        """It comes back empty, in another epoch."""
        room_id, said = self.room("10", messages=6)
        self.warm(room_id, said)
        self._cluster.restart("sidecar")
        if self._comparison.sidecar_holds(said, any_of_them=True):
            self._comparison.differences.append("a sidecar that has just started holds something")
        self._alice.redact(self._one, room_id, said[0])
        self.compare(room_id, said)
        self.warm(room_id, said)
        self.compare(room_id, said)

    def kills_the_sidecar_in_traffic(self) -> None:
        sidecar = self._cluster.processes["sidecar"]

        def fault() -> None:
            sidecar.stop(signal.SIGKILL)
            time.sleep(1)
            sidecar.start()

        self._redact_during(fault, ("generic1", "generic2"), ask_sidecar=False)

    def cuts_a_reader_off(self) -> None:
        """From its sidecar alone: it reads the database, and what it reads is current."""
        way = self._cluster.proxies["generic1"]

        def fault() -> None:
            way.cut()
            time.sleep(BOUND_S)
            way.mend()

        self._redact_during(fault, ("main", *GENERIC))
        room_id, said = self.room("10", messages=6)
        self.warm(room_id, said)
        self._cluster.restart("generic1")
        self.until_open("generic1")
        hits = self._hits_of("generic1")
        self._alice.messages(self._one, room_id)
        self.until(lambda: self._hits_of("generic1") > hits or not self._cluster.bridge)

    def _hits_of(self, name: str) -> float:
        return count(self._cluster, LOOKUPS, (name,), 'result="hit"')

    def freezes_a_reader(self) -> None:
        self._redact_during(lambda: self._freeze("generic1"), ("main", "generic2"))

    def asks_a_reader_that_was_frozen(self) -> None:
        """At once, before it has heard of what changed meanwhile: what it keeps from the sidecar
        may not be used. The request waits for it when it thaws."""
        room_id, said = self.room("10", messages=12)
        self.warm(room_id, said)
        for event_id in said[:6]:
            self._cluster.restart("generic1")
            self.until_open("generic1")
            self._alice.messages(self._one, room_id)
            reader = self._cluster.processes["generic1"]
            reader.send(signal.SIGSTOP)
            try:
                self._alice.redact(self._two, room_id, event_id)
                asking = threading.Thread(
                    target=self._comparison.processes,
                    args=(self._alice, room_id, [event_id], ("generic1",)),
                    kwargs={"at_once": True},
                )
                asking.start()
                # Longer than a position is good for.
                time.sleep(3)
            finally:
                reader.send(signal.SIGCONT)
            asking.join()

    def freezes_the_persister(self) -> None:
        self._redact_during(lambda: self._freeze("persister1"), GENERIC)

    def cuts_the_persister_off(self) -> None:
        """From the sidecar alone: it goes on writing, the others go on reading, and announce in
        its place."""
        room_id, said = self.room("10", messages=8)
        self.warm(room_id, said)
        self._persister_way.cut()
        try:
            started = time.monotonic()
            self._alice.redact(self._two, room_id, said[0])
            first_s = time.monotonic() - started
            self._comparison.sidecar(room_id, said)
            started = time.monotonic()
            self._alice.redact(self._two, room_id, said[1])
            second_s = time.monotonic() - started
            self.compare(room_id, said, fault_s=BOUND_S)
        finally:
            self._persister_way.mend()
        print(f"  cut off: the first redaction took {first_s:.1f} s, the second {second_s:.2f} s")
        if first_s > WRITE_WAIT_S + 2 or second_s > 2:
            self._comparison.differences.append(f"writes took {first_s:.1f} and {second_s:.1f} s")
        self.warm(room_id, said)
        self._alice.redact(self._two, room_id, said[2])
        self.compare(room_id, said, fault_s=BOUND_S)

    def kills_a_persister_that_owes_an_announcement(self) -> None:
        """Between COMMIT and the announcement. The outbox alone knows of the change."""
        room_id, said = self.room("10", messages=6)
        self.warm(room_id, said)
        for name in ("main", *GENERIC):
            self._alice.messages(self._cluster.ports[name], room_id)
        self._persister_way.cut()
        try:
            thread = threading.Thread(target=self._redact_in_vain, args=(room_id, said[0]))
            thread.start()
            self.until(lambda: said[0] in self._comparison.redactions(room_id))
            self._cluster.processes["persister1"].stop(signal.SIGKILL)
            time.sleep(BOUND_S)
            self._comparison.sidecar(room_id, said)
            if self._cluster.bridge and not self._comparison.sidecar_holds(said[1:]):
                self._comparison.differences.append("what did not change was dropped as well")
            # Synapse itself tells the readers nothing: its persister is dead.
            self.compare(room_id, said, GENERIC)
        finally:
            self._persister_way.mend()
            self._cluster.restart("persister1")
        thread.join()
        self.compare(room_id, said)
        self.warm(room_id, said)
        self.compare(room_id, said)

    def rolls_the_sidecar_over(self) -> None:
        """To a second one with a log of its own, while some processes still have the first: the
        persister announces to one, and others would read from the other."""
        ways = self._cluster.proxies.values()

        def fault() -> None:
            second = self._cluster.start_second_sidecar()
            for way in ways:
                way.lead_to(second)
                time.sleep(BOUND_S)
            self._cluster.processes["sidecar"].stop()
            time.sleep(BOUND_S)

        self._redact_during(fault, ("main", *GENERIC), ask_sidecar=False)
        self._cluster.processes["sidecar"].start()
        for way in ways:
            way.lead_to(self._cluster.socket)
        self._cluster.processes["sidecar2"].stop()
        room_id, said = self.room("10", messages=6)
        self.warm(room_id, said)
        self._alice.redact(self._one, room_id, said[0])
        self.compare(room_id, said)

    def _redact_in_vain(self, room_id: str, event_id: str) -> None:
        with contextlib.suppress(HttpError, OSError):
            self._alice.redact(self._two, room_id, event_id)

    def _redact_during(
        self, fault: Callable[[], None], readers: tuple[str, ...], *, ask_sidecar: bool = True
    ) -> None:
        """Redacts while the fault comes and goes, and compares those readers all the while."""
        room_id, said = self.room("10", messages=20)
        self.compare(room_id, said[:2])
        self.warm(room_id, said)
        broken = threading.Thread(target=fault)
        redacting = threading.Thread(target=self._redact_all, args=(room_id, said))
        broken.start()
        redacting.start()
        while broken.is_alive():
            compare = self._comparison.room if ask_sidecar else self._comparison.processes
            compare(self._alice, room_id, said[-2:], readers, fault_s=BOUND_S)
        broken.join()
        redacting.join()
        if ask_sidecar:
            self.compare(room_id, said, fault_s=BOUND_S)
        else:
            self._comparison.processes(self._alice, room_id, said, fault_s=BOUND_S)

    def _redact_all(self, room_id: str, event_ids: list[str]) -> None:
        try:
            for event_id in event_ids[:-1]:
                self._alice.redact(self._two, room_id, event_id)
        except (HttpError, OSError) as error:
            self._comparison.differences.append(f"a redaction failed: {error}")

    def _freeze(self, name: str) -> None:
        process = self._cluster.processes[name]
        process.send(signal.SIGSTOP)
        # Longer than anything is good for.
        time.sleep(BOUND_S + 1)
        process.send(signal.SIGCONT)
