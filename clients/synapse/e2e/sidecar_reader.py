"""Asks the sidecar itself, past Synapse and what Synapse keeps in memory."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import grpc

from splitcache_synapse.gen import event_cache_service_pb2 as pb
from splitcache_synapse.transport import CHANNEL_OPTIONS

TIMEOUT_S = 10.0
_METHOD = "/splitcache.v1.EventCacheService/GetEvents"


class SidecarReader:
    """Reads as one homeserver does. Never puts anything."""

    def __init__(self, socket: Path) -> None:
        self._address = f"unix:{socket}"

    def hits(self, homeserver: str, event_ids: Iterable[str]) -> dict[str, pb.CachedEvent]:
        """The entries of those events that the sidecar would serve now."""
        request = pb.GetEventsRequest(
            homeserver=homeserver,
            event_ids=list(event_ids),
            redaction_view=pb.REDACTION_VIEW_ORIGINAL,
        )
        # A channel of its own each time: one that saw the sidecar die would wait to try again.
        with grpc.insecure_channel(self._address, options=CHANNEL_OPTIONS) as channel:
            call = channel.unary_unary(
                _METHOD,
                request_serializer=pb.GetEventsRequest.SerializeToString,
                response_deserializer=pb.GetEventsResponse.FromString,
            )
            reply = call(request, timeout=TIMEOUT_S)
        return {event.event_id: event for event in reply.events}
