"""Asks the sidecar itself, past Synapse and what Synapse keeps in memory."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import grpc

from splitcache_client.gen import event_cache_service_pb2 as pb
from splitcache_client.transport import CHANNEL_OPTIONS, call

TIMEOUT_S = 10.0


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
        reply = self._call("GetEvents", request)
        return {event.event_id: event for event in reply.events}

    def empty(self, homeserver: str) -> None:
        """Drops all that it holds of the homeserver."""
        self._call("PurgeHomeserver", pb.PurgeHomeserverRequest(homeserver=homeserver))

    def _call(self, method: str, request: Any) -> Any:
        # A channel of its own each time: one that saw the sidecar die would wait to try again.
        with grpc.insecure_channel(self._address, options=CHANNEL_OPTIONS) as channel:
            # It may be slow to accept a connection on a machine that has much else to do.
            return call(channel, method)(request, timeout=TIMEOUT_S, wait_for_ready=True)
