"""The lookups of one turn of the reactor, which go to the sidecar as one."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred

from splitcache.v1 import event_cache_service_pb2 as pb
from splitcache_synapse.metrics import BridgeMetrics

# Below the contract's limit of 500: a reply is decoded in one go, and the reactor should turn in
# between. Synapse itself builds 500 events in one go.
IDS_MAX = 200
# Limit of the contract.
ID_BYTES_MAX = 1020

Decode = Callable[[pb.CachedEvent], Any]
OnReply = Callable[[Any, int], bool]
Ask = Callable[[pb.GetEventsRequest, Callable[[Any], None]], None]


class Lookup(NamedTuple):
    """What a lookup found."""

    # By event ID, decoded.
    hits: dict[str, Any]
    # The as_of for filling what is missing; None: nothing may be put.
    position: pb.Position | None


class Round:
    """Collects lookups, asks once for each event, and gives each caller its own events.

    One request after another, so that a lookup of thousands neither floods the sidecar nor holds
    up the reactor. After one that failed no more are sent: whoever waits has waited long enough.
    """

    def __init__(self, homeserver: str, metrics: BridgeMetrics, decode: Decode) -> None:
        """`decode` gives what callers get for an event, or None, which is a miss."""
        self._homeserver = homeserver
        self._metrics = metrics
        self._decode = decode
        self._callers: list[tuple[Collection[str], Deferred[Lookup]]] = []
        self._left: list[str] = []
        self._hits: dict[str, Any] = {}
        self._invalidated: set[str] = set()
        self._all_invalidated = False
        # Of the last reply. All of them are from before the database is read for what is missing.
        self._position: pb.Position | None = None
        self._fired = False

    def join(self, event_ids: Collection[str]) -> Deferred[Lookup]:
        result: Deferred[Lookup] = Deferred()
        self._callers.append((event_ids, result))
        return result

    def invalidated(self, event_id: str | None) -> None:
        """What the replies say of the event (None: of any) may be from before a change."""
        if event_id is None:
            self._all_invalidated = True
        else:
            self._invalidated.add(event_id)

    def send(self, ask: Ask, on_reply: OnReply, on_end: Callable[[], None]) -> None:
        """Asks for all, then calls `on_end` and fires each caller's result.

        `on_reply` is given each reply or error and the number of IDs asked, and says whether the
        reply may be used.
        """
        # What no sidecar takes is in none.
        every = dict.fromkeys(one for ids, _ in self._callers for one in ids)
        self._left = [one for one in every if _is_askable(one)]
        self._ask_next(ask, on_reply, on_end)

    def abandon(self) -> None:
        """It could not be sent, or not all of it: whoever waits reads the database."""
        if not self._fired:
            self._hits.clear()
            self._position = None
            self._fire()

    def _ask_next(self, ask: Ask, on_reply: OnReply, on_end: Callable[[], None]) -> None:
        if not self._left:
            on_end()
            self._fire()
            return
        event_ids, self._left = self._left[:IDS_MAX], self._left[IDS_MAX:]

        def done(reply: pb.GetEventsResponse | Exception) -> None:
            if self._fired:
                return
            if on_reply(reply, len(event_ids)) and not isinstance(reply, Exception):
                self._take(reply)
            else:
                self._left.clear()
            self._ask_next(ask, on_reply, on_end)

        request = pb.GetEventsRequest(
            homeserver=self._homeserver,
            event_ids=event_ids,
            # Synapse keeps the original of a redacted event, and prunes it itself.
            redaction_view=pb.REDACTION_VIEW_ORIGINAL,
        )
        ask(request, done)

    def _take(self, reply: pb.GetEventsResponse) -> None:
        self._position = reply.position
        for cached in reply.events:
            entry = self._decode(cached)
            if entry is not None:
                self._hits[cached.event_id] = entry
        # What did not fit into the reply; one with nothing in it would be asked for without end.
        if reply.events:
            self._left[:0] = reply.truncated_event_ids

    def _fire(self) -> None:
        self._fired = True
        for event_ids, result in self._callers:
            hits = {one: self._hits[one] for one in event_ids if self._holds(one)}
            self._metrics.looked_up(len(hits), len(event_ids) - len(hits))
            result.callback(Lookup(hits, self._position))

    def _holds(self, event_id: str) -> bool:
        # Asked for each caller anew: a caller before it may have led to an invalidation.
        return (
            event_id in self._hits
            and not self._all_invalidated
            and event_id not in self._invalidated
        )


def _is_askable(event_id: str) -> bool:
    try:
        return 0 < len(event_id.encode()) <= ID_BYTES_MAX
    except UnicodeEncodeError:
        return False
