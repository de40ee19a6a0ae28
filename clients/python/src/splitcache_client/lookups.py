"""The lookups of one turn of the loop, which go to the sidecar as one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from splitcache_client.gen import event_cache_service_pb2 as pb
from splitcache_client.lookup_request import LookupRequest, is_askable
from splitcache_client.metrics import ClientMetrics

logger = logging.getLogger(__name__)

# Below the contract's limit of 500: a reply is decoded in one go, and the loop should turn in
# between.
IDS_MAX = 100
# Requests of one lookup that are under way at a time. The sidecar answers them in parallel with
# what the loop does; more would only wait, for the sidecar or for being decoded.
REQUESTS_MAX = 4

Decode = Callable[[pb.CachedEvent], Any]
# The reply, how many IDs were asked, and when; whether the reply may be used.
OnReply = Callable[[Any, int, float], bool]
# What one request missed, and a position that is from before the database is read for it.
OnMissed = Callable[[frozenset[str], pb.Position], None]
# Of an entry: the epoch of the reply that brought it, and when its request was sent.
Origin = tuple[bytes, float]
Permits = Callable[[bytes, float], bool]
Ask = Callable[[pb.GetEventsRequest, Callable[[Any], None]], None]


class Lookup(NamedTuple):
    """What a lookup found."""

    # By event ID, decoded.
    hits: dict[str, Any]
    # Those of them that may be kept.
    keep: frozenset[str]
    # The as_of for filling what is missing; None: nothing may be put.
    position: pb.Position | None
    # Of each hit.
    origins: Mapping[str, Origin] = MappingProxyType({})


class _Caller(NamedTuple):
    event_ids: Collection[str]
    on_done: Callable[[Lookup], None]
    on_missed: OnMissed | None


class Round:
    """Collects lookups, asks once for each event, and gives each caller its own events.

    A few requests at a time, so that a lookup of thousands neither waits for each of them in turn,
    nor floods the sidecar, nor holds up the loop. After one that failed no more are sent:
    the callers have waited long enough.
    """

    def __init__(
        self,
        homeserver: str,
        view: pb.RedactionView,
        metrics: ClientMetrics,
        decode: Decode,
        monotonic: Callable[[], float],
        may_use: Permits,
        may_keep: Permits,
        on_end: Callable[[Round], None],
    ) -> None:
        """`decode` gives what callers get for an event, or None, which is a miss. `may_use` and
        `may_keep` are asked when callers are answered. `on_end` is called once, after all callers
        have been answered or have left."""
        self._homeserver = homeserver
        self._view = view
        self._metrics = metrics
        self._decode = decode
        self._monotonic = monotonic
        self._may_use = may_use
        self._may_keep = may_keep
        self._on_end = on_end
        self._callers: list[_Caller] = []
        # IDs that callers ask for, some perhaps twice.
        self._size = 0
        # What is not asked yet, the next last.
        self._left: list[str] = []
        # With the epoch of its reply, and when its request was sent.
        self._hits: dict[str, tuple[Any, Origin]] = {}
        self._under_way: set[LookupRequest] = set()
        # Of the last reply. All of them are from before the database is read for what is missing.
        self._position: pb.Position | None = None
        # Requests are being sent now: one that is answered at once sends no further ones itself.
        self._sending = False
        self._ended = False

    def has_room_for(self, event_ids: Collection[str]) -> bool:
        """Whether the lookup may join: nobody should wait for another one's second request."""
        return not self._callers or self._size + len(event_ids) <= IDS_MAX

    def join(
        self,
        event_ids: Collection[str],
        on_done: Callable[[Lookup], None],
        on_missed: OnMissed | None = None,
    ) -> Callable[[], None]:
        """Returns what leaves again; when nobody waits any longer, the lookup has ended.

        `on_missed` is called with what a request has missed while others are still to be answered.
        """
        caller = _Caller(event_ids, on_done, on_missed)
        self._callers.append(caller)
        self._size += len(event_ids)
        return lambda: self._leave(caller)

    def _leave(self, left: _Caller) -> None:
        self._callers = [caller for caller in self._callers if caller is not left]
        if not self._callers:
            self._end()

    def invalidated(self, event_id: str | None) -> None:
        """What the replies have said of the event (None: of any) may be from before a change."""
        for request in self._under_way:
            request.invalidated(event_id)
        if event_id is None:
            self._hits.clear()
        else:
            self._hits.pop(event_id, None)

    def send(self, ask: Ask, on_reply: OnReply) -> None:
        """Asks for all, then fires each caller's result. Raises nothing.

        `on_reply` is given each reply or error and the number of IDs asked, and says whether the
        reply may be used.
        """
        # What no sidecar takes is in none.
        every = dict.fromkeys(one for caller in self._callers for one in caller.event_ids)
        self._left = [one for one in every if is_askable(one)]
        self._left.reverse()
        self._go_on(ask, on_reply)

    def _go_on(self, ask: Ask, on_reply: OnReply) -> None:
        """Sends what may be sent now, and ends when nothing is left."""
        if self._sending:
            return
        self._sending = True
        while self._left and len(self._under_way) < REQUESTS_MAX and not self._ended:
            self._ask_next(ask, on_reply)
        self._sending = False
        if not self._left and not self._under_way:
            self._end()

    def _ask_next(self, ask: Ask, on_reply: OnReply) -> None:
        request = LookupRequest(self._left[: -IDS_MAX - 1 : -1], self._monotonic(), self._view)
        del self._left[-IDS_MAX:]
        self._under_way.add(request)

        def done(reply: pb.GetEventsResponse | Exception) -> None:
            if self._ended or request not in self._under_way:
                return
            self._under_way.discard(request)
            try:
                self._answered(request, reply, on_reply)
            except Exception:
                logger.exception("splitcache: a reply could not be used")
                self._left.clear()
            self._go_on(ask, on_reply)

        try:
            ask(request.message(self._homeserver), done)
        except Exception:
            logger.exception("splitcache: a lookup could not be sent")
            self._left.clear()
            self._under_way.discard(request)

    def _answered(
        self, request: LookupRequest, reply: pb.GetEventsResponse | Exception, on_reply: OnReply
    ) -> None:
        usable = on_reply(reply, len(request.event_ids), request.sent_at)
        if not usable or isinstance(reply, Exception):
            self._left.clear()
            return
        self._take(request, reply)
        if self._left or self._under_way:
            self._report_missed(request, reply)

    def _take(self, request: LookupRequest, reply: pb.GetEventsResponse) -> None:
        origin = (reply.position.epoch, request.sent_at)
        self._position = reply.position
        for cached in reply.events:
            if request.is_unverified(cached.event_id):
                continue
            entry = self._decode(cached)
            if entry is not None:
                self._hits[cached.event_id] = (entry, origin)
        # What did not fit into the reply; one with nothing in it would be asked for without end.
        if reply.events:
            self._left.extend(reversed(reply.truncated_event_ids))

    def _report_missed(self, request: LookupRequest, reply: pb.GetEventsResponse) -> None:
        on_missed = self._callers[0].on_missed
        # A lookup that takes several requests has no other beside it, but for large events.
        if on_missed is None or len(self._callers) > 1:
            return
        found = self._hits.keys() | set(reply.truncated_event_ids)
        missed = frozenset(request.event_ids).difference(found)
        if missed:
            on_missed(missed, reply.position)

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        # Whom one caller's answer leads to leave is no longer there.
        while self._callers:
            event_ids, on_done, _ = self._callers.pop(0)
            # Anew for each caller: a caller before it may have led to an invalidation.
            found = self._found(event_ids)
            self._metrics.looked_up(len(found.hits), len(event_ids) - len(found.hits))
            try:
                on_done(found)
            except Exception:
                # The other callers must have their answers.
                logger.exception("splitcache: a lookup's answer could not be handed over")
        self._on_end(self)

    def _found(self, event_ids: Collection[str]) -> Lookup:
        hits: dict[str, Any] = {}
        origins: dict[str, Origin] = {}
        keep = set()
        # Few requests brought them: each is judged once.
        use: dict[Origin, bool] = {}
        kept: dict[Origin, bool] = {}
        for event_id in event_ids:
            if event_id not in self._hits:
                continue
            entry, request = self._hits[event_id]
            if request not in use:
                use[request] = self._may_use(*request)
                kept[request] = self._may_keep(*request)
            if use[request]:
                hits[event_id], origins[event_id] = entry, request
                if kept[request]:
                    keep.add(event_id)
        return Lookup(hits, frozenset(keep), self._position, origins)
