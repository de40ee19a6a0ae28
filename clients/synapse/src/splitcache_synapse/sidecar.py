"""What the module's hooks see of the sidecar: lookups and fills, within one declared epoch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from typing import Any

from twisted.internet.defer import Deferred

from splitcache_synapse.breaker import Breaker
from splitcache_synapse.epochs import Epochs
from splitcache_synapse.fills import Fills, Prepare
from splitcache_synapse.gen import event_cache_service_pb2 as pb
from splitcache_synapse.lookups import IDS_MAX, Decode, Lookup, Round
from splitcache_synapse.metrics import BridgeMetrics
from splitcache_synapse.read_stream import LookupFailed
from splitcache_synapse.transport import Transport

logger = logging.getLogger(__name__)

DECLARE_TIMEOUT_S = 1.0
# How soon a new epoch is heard of by a process that reads nothing, and how long one that hears
# nothing keeps what it has read.
POLL_INTERVAL_S = 1.0
SILENCE_MAX_S = 5.0
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0


class Sidecar:
    """Runs on the reactor's thread. No method raises; no lookup fails."""

    def __init__(
        self,
        *,
        transport: Transport,
        reactor: Any,
        monotonic: Callable[[], float],
        homeserver: str,
        writers: Sequence[str],
        read_deadline_s: float,
        metrics: BridgeMetrics,
        may_read: Callable[[], bool],
        prepare: Prepare,
        decode: Decode,
        forget: Callable[[], None],
    ) -> None:
        """`prepare` takes down what is put, for the sidecar's form to be made of it later; `decode`
        makes of that what lookups bring, None if it cannot. `read_deadline_s` is that of each
        request of a lookup, of 100 events at most. `forget` drops from this process's memory what
        lookups have brought: nothing is kept from one epoch to the next, since a change may never
        have been announced in between."""
        self._transport = transport
        self._reactor = reactor
        self._monotonic = monotonic
        self._homeserver = homeserver
        self._writers = tuple(writers)
        self._read_deadline_s = read_deadline_s
        self._metrics = metrics
        self._may_read = may_read
        self._forget = forget
        self._heard_at = monotonic()
        self._epochs = Epochs()
        self._breaker = Breaker(monotonic, metrics.breaker_state)
        self._decode = decode
        self._fills = Fills(
            transport=transport,
            reactor=reactor,
            homeserver=homeserver,
            metrics=metrics,
            prepare=prepare,
            observe=self.observe,
            mark=lambda: self.mark,
            is_wanted=lambda epoch: not self._closed and self._epochs.usable(epoch),
        )
        # Lookups of this turn of the reactor, which go as one.
        self._next_round: Round | None = None
        self._rounds: set[Round] = set()
        self._declaring = False
        self._declare_pause_s = FIRST_PAUSE_S
        self._declare_after = 0.0
        self._closed = False

    @property
    def mark(self) -> int:
        """Taken when a request is sent, and given to `observe` with its reply."""
        return self._epochs.mark

    @property
    def stopped_for_good(self) -> bool:
        """Whether two sidecars were found behind the address."""
        return self._epochs.came_back

    def patience_s(self, event_ids: Collection[str]) -> float:
        """How long a lookup may take if all goes as it should: each request of it has the read
        deadline, and one more is granted for a reactor that is late."""
        requests = -(-len(event_ids) // IDS_MAX)
        return (requests + 1) * self._read_deadline_s

    def start(self) -> None:
        self._declare()
        if not self._transport.immediate:
            self._poll()

    def stop(self) -> None:
        self._closed = True
        self._transport.close()

    def lookup(self, event_ids: Collection[str]) -> Deferred[Lookup]:
        """Asks the sidecar for the events. The result names the hits and, if what is missing may
        be put, the position from before which the database must not have been read."""
        if not self._usable():
            self._metrics.looked_up(0, len(event_ids))
            missed: Deferred[Lookup] = Deferred()
            missed.callback(Lookup({}, None))
            return missed
        if self._next_round is not None and not self._next_round.has_room_for(event_ids):
            self._send()
        if self._next_round is None:
            self._next_round = Round(
                self._homeserver, self._metrics, self._decode, self._rounds.discard
            )
            self._rounds.add(self._next_round)
            if not self._transport.immediate:
                self._reactor.callLater(0, self._send)
        result = self._next_round.join(event_ids)
        if self._transport.immediate:
            self._send()
        return result

    def put(self, entries: Sequence[Any], as_of: pb.Position) -> None:
        """Puts what was read from the database after `as_of`. Nobody waits for it."""
        self._fills.put(entries, as_of)

    def invalidated(self, event_id: str | None) -> None:
        """This process drops the event (None: any event) from its own cache: a lookup under way
        must not bring back what it was before."""
        for lookups in self._rounds:
            lookups.invalidated(event_id)

    def observe(self, position: pb.Position, mark: int) -> None:
        """Takes the position of any reply; `mark` is from when its request was sent."""
        before = self._epochs.current
        self._take_epoch(position.epoch, mark)
        if not self._epochs.came_back and self._epochs.current != before:
            self._declare_pause_s = FIRST_PAUSE_S
            self._declare()

    def _take_epoch(self, epoch: bytes, mark: int) -> bool:
        """Whether it is the current one."""
        before, came_back = self._epochs.current, self._epochs.came_back
        is_current = self._epochs.observe(epoch, mark)
        self._heard_at = self._monotonic()
        if self._epochs.current != before and before is not None:
            self._drop()
        if self._epochs.came_back and not came_back:
            self._stop_for_good()
        return is_current

    def _drop(self) -> None:
        self.invalidated(None)
        self._forget()

    def _poll(self) -> None:
        """Asks for the position alone."""
        if self._closed or self.stopped_for_good:
            return
        self._reactor.callLater(POLL_INTERVAL_S, self._poll)
        if self._monotonic() - self._heard_at > SILENCE_MAX_S:
            self._heard_at = self._monotonic()
            self._drop()
        mark = self.mark

        def on_reply(reply: Any) -> None:
            if not isinstance(reply, Exception):
                self.observe(reply.position, mark)

        request = pb.GetEventsRequest(homeserver=self._homeserver)
        self._transport.unary("GetEvents", request, POLL_INTERVAL_S, on_reply)

    def _usable(self) -> bool:
        if self._closed or self.stopped_for_good or not self._may_read():
            return False
        if self._epochs.current is None or self._epochs.declared != self._epochs.current:
            self._declare()
            if self._epochs.current is None or self._epochs.declared != self._epochs.current:
                return False
        return self._breaker.allows()

    def _send(self) -> None:
        lookups, self._next_round = self._next_round, None
        if lookups is None:
            return
        # Of the request that is under way: a round makes one after another.
        mark, asked_at = self.mark, self._monotonic()

        def on_reply(reply: pb.GetEventsResponse | Exception, asked: int) -> bool:
            self._metrics.request_done(self._monotonic() - asked_at, asked)
            if isinstance(reply, Exception):
                self._failed(reply)
                return False
            self._breaker.succeeded()
            self.observe(reply.position, mark)
            return self._epochs.usable(reply.position.epoch)

        def ask(request: pb.GetEventsRequest, on_done: Callable[[Any], None]) -> None:
            nonlocal mark, asked_at
            if self._closed or not self._may_read():
                on_done(LookupFailed("busy"))
                return
            mark, asked_at = self.mark, self._monotonic()
            self._transport.lookup(request, self._read_deadline_s, on_done)

        lookups.send(ask, on_reply)

    def _failed(self, error: Exception) -> None:
        if not isinstance(error, LookupFailed):
            self._metrics.error(type(error).__name__)
            self._breaker.failed()
            return
        self._metrics.error(str(error.args[0]))
        if error.is_trouble:
            self._breaker.failed()
        elif error.is_answer:
            self._breaker.succeeded()

    def _declare(self) -> None:
        """Names the writers in the current epoch. A reply from another epoch is used only after."""
        if self._declaring or self._closed or self._monotonic() < self._declare_after:
            return
        self._declaring = True
        mark = self.mark
        request = pb.DeclareWritersRequest(homeserver=self._homeserver, writers=self._writers)
        self._transport.unary(
            "DeclareWriters",
            request,
            DECLARE_TIMEOUT_S,
            lambda reply: self._declared(reply, mark),
        )

    def _declared(self, reply: pb.DeclareWritersResponse | Exception, mark: int) -> None:
        self._declaring = False
        if isinstance(reply, Exception):
            self._metrics.error("declare")
            self._declare_after = self._monotonic() + self._declare_pause_s
            if not self._transport.immediate and not self._closed:
                self._reactor.callLater(self._declare_pause_s, self._declare)
            self._declare_pause_s = min(2 * self._declare_pause_s, LONGEST_PAUSE_S)
            return
        self._declare_pause_s = FIRST_PAUSE_S
        epoch = reply.position.epoch
        if self._take_epoch(epoch, mark):
            self._epochs.declared = epoch
        elif not self._epochs.came_back:
            # A late reply: the epoch has changed since.
            self._declare()

    def _stop_for_good(self) -> None:
        self._drop()
        self._metrics.stopped()
        logger.critical(
            "splitcache: two sidecars answer at one address, and do not hear each other's changes. "
            "This process reads nothing from them any more: mend the address and restart."
        )
