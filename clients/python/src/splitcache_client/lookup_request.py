"""One request of a lookup that is under way."""

from __future__ import annotations

from splitcache_client.gen import event_cache_service_pb2 as pb

# Limit of the contract.
ID_BYTES_MAX = 1020


class LookupRequest:
    """What was asked, when, and which of it has been invalidated since."""

    def __init__(self, event_ids: list[str], sent_at: float, view: pb.RedactionView) -> None:
        self.event_ids = event_ids
        self.sent_at = sent_at
        self._view = view
        # What was invalidated since it was sent: its reply may be from before.
        self._unverified: set[str] = set()
        self._all_unverified = False

    def message(self, homeserver: str) -> pb.GetEventsRequest:
        return pb.GetEventsRequest(
            homeserver=homeserver,
            event_ids=self.event_ids,
            redaction_view=self._view,
        )

    def invalidated(self, event_id: str | None) -> None:
        """Of None: any event."""
        if event_id is None:
            self._all_unverified = True
        else:
            self._unverified.add(event_id)

    def is_unverified(self, event_id: str) -> bool:
        return self._all_unverified or event_id in self._unverified


def is_askable(event_id: str) -> bool:
    """Whether a sidecar takes such an ID. What it does not take, it does not hold."""
    try:
        return 0 < len(event_id.encode()) <= ID_BYTES_MAX
    except UnicodeEncodeError:
        return False
