"""The lookups of one turn of the reactor, which go to the sidecar as one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred

from splitcache_synapse.gen import event_cache_service_pb2 as pb
from splitcache_synapse.metrics import BridgeMetrics

logger = logging.getLogger(__name__)

# Below the contract's limit of 500: a reply is decoded in one go, and the reactor should turn in
# between. Synapse itself builds 500 events in one go.
IDS_MAX = 100
# Limit of the contract.
ID_BYTES_MAX = 1020

Decode = Callable[[pb.CachedEvent], Any]
# The reply and how many IDs were asked; whether the reply may be used.
OnReply = Callable[[Any, int], bool]
# Of an entry: the epoch of the reply that brought it, and when its request was sent.
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


class Round:
    """Collects lookups, asks once for each event, and gives each caller its own events.

    One request after another, so that a lookup of thousands neither floods the sidecar nor holds
    up the reactor. After one that failed no more are sent: whoever waits has waited long enough.
    """

    def __init__(
        self,
        homeserver: str,
        metrics: BridgeMetrics,
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
        self._metrics = metrics
        self._decode = decode
        self._monotonic = monotonic
        self._may_use = may_use
        self._may_keep = may_keep
        self._on_end = on_end
        self._callers: list[tuple[Collection[str], Deferred[Lookup]]] = []
        # IDs that callers ask for, some perhaps twice.
        self._size = 0
        # What is not asked yet, the next last.
        self._left: list[str] = []
        # With the epoch of its reply, and when its request was sent.
        self._hits: dict[str, tuple[Any, tuple[bytes, float]]] = {}
        # What was invalidated since the request that is under way was sent: its reply may be from
        # before. Later ones are not.
        self._doubtful: set[str] = set()
        self._all_doubtful = False
        # Of the last reply. All of them are from before the database is read for what is missing.
        self._position: pb.Position | None = None
        self._ended = False

    def has_room_for(self, event_ids: Collection[str]) -> bool:
        """Whether the lookup may join: nobody should wait for another one's second request."""
        return not self._callers or self._size + len(event_ids) <= IDS_MAX

    def join(self, event_ids: Collection[str]) -> Deferred[Lookup]:
        """The result may be cancelled; when nobody waits any longer, the lookup has ended."""
        result: Deferred[Lookup] = Deferred(self._leave)
        self._callers.append((event_ids, result))
        self._size += len(event_ids)
        return result

    def _leave(self, left: Deferred[Lookup]) -> None:
        self._callers = [caller for caller in self._callers if caller[1] is not left]
        if not self._callers:
            self._end()

    def invalidated(self, event_id: str | None) -> None:
        """What the replies have said of the event (None: of any) may be from before a change."""
        if event_id is None:
            self._all_doubtful = True
            self._hits.clear()
        else:
            self._doubtful.add(event_id)
            self._hits.pop(event_id, None)

    def send(self, ask: Ask, on_reply: OnReply) -> None:
        """Asks for all, then fires each caller's result. Raises nothing.

        `on_reply` is given each reply or error and the number of IDs asked, and says whether the
        reply may be used.
        """
        # What no sidecar takes is in none.
        every = dict.fromkeys(one for ids, _ in self._callers for one in ids)
        self._left = [one for one in every if _is_askable(one)]
        self._left.reverse()
        self._ask_next(ask, on_reply)

    def _ask_next(self, ask: Ask, on_reply: OnReply) -> None:
        if self._ended:
            return
        if not self._left:
            self._end()
            return
        event_ids = self._left[: -IDS_MAX - 1 : -1]
        del self._left[-IDS_MAX:]
        self._doubtful.clear()
        self._all_doubtful = False
        sent_at = self._monotonic()

        def done(reply: pb.GetEventsResponse | Exception) -> None:
            if self._ended:
                return
            try:
                if on_reply(reply, len(event_ids)) and not isinstance(reply, Exception):
                    self._take(reply, sent_at)
                else:
                    self._left.clear()
            except Exception:
                logger.exception("splitcache: a reply could not be used")
                self._left.clear()
            self._ask_next(ask, on_reply)

        request = pb.GetEventsRequest(
            homeserver=self._homeserver,
            event_ids=event_ids,
            # Synapse keeps the original of a redacted event, and prunes it itself.
            redaction_view=pb.REDACTION_VIEW_ORIGINAL,
        )
        try:
            ask(request, done)
        except Exception:
            logger.exception("splitcache: a lookup could not be sent")
            self._end()

    def _take(self, reply: pb.GetEventsResponse, sent_at: float) -> None:
        request = (reply.position.epoch, sent_at)
        self._position = reply.position
        for cached in reply.events:
            if self._all_doubtful or cached.event_id in self._doubtful:
                continue
            entry = self._decode(cached)
            if entry is not None:
                self._hits[cached.event_id] = (entry, request)
        # What did not fit into the reply; one with nothing in it would be asked for without end.
        if reply.events:
            self._left.extend(reversed(reply.truncated_event_ids))

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        # Whom one caller's answer leads to leave is no longer there.
        while self._callers:
            event_ids, result = self._callers.pop(0)
            # Anew for each caller: a caller before it may have led to an invalidation.
            found = self._found(event_ids)
            self._metrics.looked_up(len(found.hits), len(event_ids) - len(found.hits))
            result.callback(found)
        self._on_end(self)

    def _found(self, event_ids: Collection[str]) -> Lookup:
        hits: dict[str, Any] = {}
        keep = set()
        # Few requests brought them: each is judged once.
        use: dict[tuple[bytes, float], bool] = {}
        kept: dict[tuple[bytes, float], bool] = {}
        for event_id in event_ids:
            if event_id not in self._hits:
                continue
            entry, request = self._hits[event_id]
            if request not in use:
                use[request] = self._may_use(*request)
                kept[request] = self._may_keep(*request)
            if use[request]:
                hits[event_id] = entry
                if kept[request]:
                    keep.add(event_id)
        return Lookup(hits, frozenset(keep), self._position)


def _is_askable(event_id: str) -> bool:
    try:
        return 0 < len(event_id.encode()) <= ID_BYTES_MAX
    except UnicodeEncodeError:
        return False
