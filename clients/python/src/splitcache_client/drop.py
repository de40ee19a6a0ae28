"""What a change drops."""

from __future__ import annotations

from typing import Protocol


class Drop(Protocol):
    """What drops from the near cache."""

    def event(self, event_id: str) -> None: ...

    def room(self, room_id: str) -> None: ...

    def everything(self) -> None: ...

    def kept(self) -> None:
        """What lookups have brought, and no more than that."""
