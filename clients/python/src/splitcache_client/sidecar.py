"""Lookups and fills, while the gate is open."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from typing import Any

from splitcache_client.breaker import CLOSED, Breaker
from splitcache_client.fills import Fills, Prepare
from splitcache_client.freshness import Freshness
from splitcache_client.gen import event_cache_service_pb2 as pb
from splitcache_client.held_hits import HeldHits
from splitcache_client.lookups import IDS_MAX, Decode, Lookup, OnMissed, Round
from splitcache_client.metrics import ClientMetrics
from splitcache_client.near_cache import NearCache
from splitcache_client.outbox_rules import REPLY_AGE_MAX_S
from splitcache_client.read_stream import LookupFailed
from splitcache_client.transport import Transport

logger = logging.getLogger(__name__)

# How often the position is asked for: what is kept is used no longer than two of these.
POSITION_INTERVAL_S = 0.9


class Sidecar:
    """Runs on the loop's thread. No method raises; no lookup fails."""

    def __init__(
        self,
        *,
        transport: Transport,
        reactor: Any,
        monotonic: Callable[[], float],
        homeserver: str,
        read_deadline_s: float,
        metrics: ClientMetrics,
        freshness: Freshness,
        near: NearCache,
        prepare: Prepare,
        decode: Decode,
        view: pb.RedactionView = pb.REDACTION_VIEW_ORIGINAL,
    ) -> None:
        """`prepare` takes down what is put, for the sidecar's form to be made of it later; `decode`
        makes of that what lookups bring, None if it cannot. `read_deadline_s` is that of each
        request of a lookup, of 100 events at most."""
        self._transport = transport
        self._reactor = reactor
        self._monotonic = monotonic
        self._homeserver = homeserver
        self._read_deadline_s = read_deadline_s
        self._metrics = metrics
        self._freshness = freshness
        self._near = near
        self._breaker = Breaker(monotonic, metrics.breaker_state)
        self._decode = decode
        self._view = view
        self._fills = Fills(
            transport=transport,
            reactor=reactor,
            homeserver=homeserver,
            metrics=metrics,
            prepare=prepare,
            monotonic=monotonic,
            observe=self._observe,
            is_wanted=lambda epoch: not self._closed and freshness.fills(epoch),
        )
        # Lookups of this turn of the loop, which go as one.
        self._next_round: Round | None = None
        self._rounds: set[Round] = set()
        self._held: set[HeldHits] = set()
        self._closed = False

    def patience_s(self, event_ids: Collection[str]) -> float:
        """How long a lookup may take if all goes as it should: each request of it has the read
        deadline, and one more is granted for a loop that is late."""
        requests = -(-len(event_ids) // IDS_MAX)
        return (requests + 1) * self._read_deadline_s

    def start(self) -> None:
        if self._transport.immediate:
            self._ask_position()
        else:
            self._ask_positions()

    def stop(self) -> None:
        self._closed = True
        self._transport.close()

    def ask(
        self,
        event_ids: Collection[str],
        on_done: Callable[[Lookup], None],
        on_missed: OnMissed | None = None,
    ) -> Callable[[], None]:
        """Asks the sidecar for the events. `on_done` gets the hits and, if what is missing may be
        put, the position from before which the database must not have been read. `on_missed` gets
        some of that earlier, while a large lookup goes on. The result cancels it."""
        if self._closed or not self._freshness.is_open() or not self._breaker.allows():
            self._metrics.looked_up(0, len(event_ids))
            # A dict of its own: a caller may add to it.
            on_done(Lookup({}, frozenset(), None))
            return lambda: None
        if self._next_round is not None and not self._next_round.has_room_for(event_ids):
            self._send()
        if self._next_round is None:
            self._next_round = self._new_round()
            if not self._transport.immediate:
                self._reactor.callLater(0, self._send)
        leave = self._next_round.join(event_ids, on_done, on_missed)
        if self._transport.immediate:
            self._send()
        return leave

    def hold(self, lookup: Lookup) -> HeldHits:
        """For a reader who waits for more before it uses the hits. It must be released."""
        held = HeldHits(lookup, self._may_use, self._held.discard)
        self._held.add(held)
        return held

    def put(
        self,
        entries: Sequence[Any],
        as_of: pb.Position,
        on_done: Callable[[], None] = lambda: None,
    ) -> None:
        """Puts what was read from the database after `as_of`. `on_done` is called once, whatever
        becomes of it."""
        self._fills.put(entries, as_of, on_done)

    def takes(self, as_of: pb.Position) -> bool:
        """Whether what is read from the database after `as_of` may be put now."""
        return (
            not self._closed
            and self._breaker.state == CLOSED
            and self._freshness.fills(as_of.epoch)
        )

    def position(self) -> pb.Position | None:
        """A position that this process has; None if it has none. May be asked in any thread."""
        epoch, sequence = self._near.position
        return pb.Position(epoch=epoch, sequence=sequence) if epoch else None

    def invalidated(self, event_id: str | None) -> None:
        """This process drops the event (None: any event) from its own cache: a lookup under way
        must not bring back what it was before."""
        for lookups in self._rounds:
            lookups.invalidated(event_id)
        for held in self._held:
            held.invalidated(event_id)

    def may_use_kept(self) -> bool:
        """Whether what lookups have brought into the near cache may be used now."""
        return self._transport.immediate or (
            not self._closed
            and self._freshness.is_open()
            and self._freshness.uses(self._near.epoch)
            and self._near.is_proved(self._monotonic())
        )

    def _new_round(self) -> Round:
        made = Round(
            self._homeserver,
            self._view,
            self._metrics,
            self._decode,
            self._monotonic,
            self._may_use,
            self._may_keep,
            self._rounds.discard,
        )
        self._rounds.add(made)
        return made

    def _may_use(self, epoch: bytes, sent_at: float) -> bool:
        """O6: the gate was open when the request was sent; now its age alone counts. A reply that
        is too old, of a lookup with many requests, may be used as what is kept may be."""
        if self._monotonic() - sent_at < REPLY_AGE_MAX_S:
            return True
        return self._may_keep(epoch, sent_at) and self.may_use_kept()

    def _may_keep(self, epoch: bytes, sent_at: float) -> bool:
        # With calls made at once nobody else changes anything, and nothing is subscribed to.
        return self._transport.immediate or self._near.may_keep(epoch, sent_at)

    def _observe(self, position: pb.Position, sent_at: float) -> None:
        """Takes the position of any reply. There is none while the sidecar does not know that it
        is current."""
        if position.epoch:
            self._freshness.replied(position.epoch, sent_at)

    def _ask_positions(self) -> None:
        if not self._closed:
            self._reactor.callLater(POSITION_INTERVAL_S, self._ask_positions)
            self._ask_position()

    def _ask_position(self) -> None:
        sent_at, was_open = self._monotonic(), self._freshness.is_open()

        def on_reply(reply: Any) -> None:
            if isinstance(reply, Exception):
                return
            self._observe(reply.position, sent_at)
            if was_open:
                self._near.answered(reply.position.epoch, reply.position.sequence, sent_at)

        request = pb.GetEventsRequest(homeserver=self._homeserver)
        self._transport.unary("GetEvents", request, POSITION_INTERVAL_S, on_reply)

    def _send(self) -> None:
        lookups, self._next_round = self._next_round, None
        if lookups is None:
            return

        def on_reply(reply: pb.GetEventsResponse | Exception, asked: int, sent_at: float) -> bool:
            self._metrics.request_done(self._monotonic() - sent_at, asked)
            if isinstance(reply, Exception):
                self._failed(reply)
                return False
            self._breaker.succeeded()
            self._observe(reply.position, sent_at)
            # As good as the answer to a position request: the gate was open when it was sent. In a
            # process that has just started there may be no other yet.
            self._near.answered(reply.position.epoch, reply.position.sequence, sent_at)
            return self._freshness.uses(reply.position.epoch)

        def ask(request: pb.GetEventsRequest, on_done: Callable[[Any], None]) -> None:
            # The gate is judged when a request is sent (O6).
            if self._closed or not self._freshness.is_open():
                on_done(LookupFailed("busy"))
                return
            if self._near.epoch:
                # What the stream of changes has dropped must not come back from a sidecar behind.
                request.min_position.epoch = self._near.epoch
                request.min_position.sequence = self._near.applied
            self._transport.lookup(request, self._read_deadline_s, on_done)

        lookups.send(ask, on_reply)

    def _failed(self, error: Exception) -> None:
        if not isinstance(error, LookupFailed):
            self._metrics.error(type(error).__name__)
            self._breaker.failed()
            return
        self._metrics.error(str(error.args[0]))
        if error.is_unavailable:
            self._breaker.failed()
        elif error.is_answer:
            self._breaker.succeeded()
