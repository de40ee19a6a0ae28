"""The lookups of one turn of the reactor, which go to the sidecar as one."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred

from splitcache.v1 import event_cache_service_pb2 as pb
from splitcache_synapse.metrics import BridgeMetrics

# Limits of the contract: IDs a request, and bytes an ID.
IDS_MAX = 500
ID_BYTES_MAX = 1020

OnReply = Callable[[Any, int], bool]
Ask = Callable[[pb.GetEventsRequest, Callable[[Any], None]], None]


class Lookup(NamedTuple):
    """What a lookup found."""

    hits: dict[str, pb.CachedEvent]
    # The as_of for filling what is missing; None: nothing may be put.
    position: pb.Position | None


class Round:
    """Collects lookups, asks once for each event, and gives each caller its own events."""

    def __init__(self, homeserver: str, metrics: BridgeMetrics) -> None:
        self._homeserver = homeserver
        self._metrics = metrics
        self._callers: list[tuple[Collection[str], Deferred[Lookup]]] = []
        self._hits: dict[str, pb.CachedEvent] = {}
        self._invalidated: set[str] = set()
        self._all_invalidated = False
        # The oldest position of the replies; None once a request has failed.
        self._position: pb.Position | None = None
        self._failed = False
        self._requests = 0
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
        event_ids = [one for one in every if _is_askable(one)]
        if not event_ids:
            on_end()
            self._fire()
            return
        chunks = [event_ids[i : i + IDS_MAX] for i in range(0, len(event_ids), IDS_MAX)]
        self._requests = len(chunks)
        for chunk in chunks:
            self._request(chunk, ask, on_reply, on_end)

    def abandon(self) -> None:
        """It could not be sent, or not all of it: whoever waits reads the database."""
        self._failed = True
        self._hits.clear()
        self._fire()

    def _request(
        self, event_ids: list[str], ask: Ask, on_reply: OnReply, on_end: Callable[[], None]
    ) -> None:
        def done(reply: pb.GetEventsResponse | Exception) -> None:
            if self._fired:
                return
            truncated: list[str] = []
            if on_reply(reply, len(event_ids)) and not isinstance(reply, Exception):
                self._take(reply)
                truncated = list(reply.truncated_event_ids)
            else:
                self._failed = True
            if truncated:
                self._request(truncated, ask, on_reply, on_end)
                return
            self._requests -= 1
            if self._requests == 0:
                on_end()
                self._fire()

        request = pb.GetEventsRequest(
            homeserver=self._homeserver,
            event_ids=event_ids,
            # Synapse keeps the original of a redacted event, and prunes it itself.
            redaction_view=pb.REDACTION_VIEW_ORIGINAL,
        )
        ask(request, done)

    def _take(self, reply: pb.GetEventsResponse) -> None:
        self._hits.update((event.event_id, event) for event in reply.events)
        oldest = self._position
        if oldest is None or reply.position.sequence < oldest.sequence:
            self._position = reply.position
        if oldest is not None and oldest.epoch != reply.position.epoch:
            self._failed = True

    def _fire(self) -> None:
        self._fired = True
        position = None if self._failed else self._position
        for event_ids, result in self._callers:
            hits = {one: self._hits[one] for one in event_ids if self._holds(one)}
            self._metrics.looked_up(len(hits), len(event_ids) - len(hits))
            result.callback(Lookup(hits, position))

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
