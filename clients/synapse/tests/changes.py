"""Ways in which Synapse changes what it stores of an event."""

from __future__ import annotations

from typing import Any

from signedjson.key import generate_signing_key
from synapse.api.constants import RejectedReason
from synapse.types import create_requester

from tests.homeserver import ALICE, BOB, NAME, Homeserver, message

REDACT_ALL = {"org.matrix.msc4293.redact_events": True}


def ban(home: Homeserver, room_id: str, event_id: str) -> None:
    home.member(room_id, ALICE, BOB, "ban", **REDACT_ALL)


def kick(home: Homeserver, room_id: str, event_id: str) -> None:
    home.member(room_id, ALICE, BOB, "kick")


def expire(home: Homeserver, room_id: str, event_id: str) -> None:
    home.run(lambda: home.store.expire_event(event_id))


def resign(home: Homeserver, room_id: str, event_id: str) -> None:
    sign_anew(home, "new2")


def ban_for_a_while(home: Homeserver, room_id: str) -> None:
    home.member(room_id, ALICE, BOB, "ban", **REDACT_ALL)
    home.member(room_id, ALICE, BOB, "unban")
    home.member(room_id, BOB, BOB, "join")


def make(home: Homeserver, room_id: str, **more: Any) -> tuple[Any, Any]:
    """A message, or what `more` makes of it, that is not persisted yet, and its context."""

    async def made() -> tuple[Any, Any]:
        event, context = await home.hs.get_event_creation_handler().create_event(
            create_requester(BOB), {**message(room_id), **more}
        )
        return event, await context.persist(event)

    event, context = home.run(made)
    return event, context


def persist(home: Homeserver, event: Any, context: Any) -> None:
    persistence = home.hs.get_storage_controllers().persistence
    home.run(lambda: persistence.persist_event(event, context))


def mark_rejected(home: Homeserver, event_id: str) -> None:
    mark, reason = home.store.mark_event_rejected_txn, RejectedReason.AUTH_ERROR
    home.run(lambda: home.store.db_pool.runInteraction("test", mark, event_id, reason))


def judge(home: Homeserver, event_id: str, rejects: bool) -> None:
    """Accepts or rejects an event anew, as at the end of a join with partial state."""
    store, event = home.store, home.stored(event_id)
    row = {"room_id": event.room_id, "event_id": event_id}

    async def judged() -> None:
        context = await home.hs.get_state_handler().compute_event_context(event)
        context.rejected = RejectedReason.AUTH_ERROR if rejects else None
        await store.store_partial_state_room(event.room_id, {NAME}, 0, NAME)
        await store.db_pool.simple_insert("partial_state_events", row)
        await store.update_state_for_partial_state_event(event, context)
        await store.clear_partial_state_room(event.room_id)

    home.run(judged)


def sign_anew(home: Homeserver, version: str) -> None:
    """Runs the update in the background that follows upon a change of the key."""
    home.hs.signing_key = generate_signing_key(version)
    row = {"update_name": "event_resign", "progress_json": "{}"}
    home.run(lambda: home.store.db_pool.simple_insert("background_updates", row))
    home.run(lambda: home.store.db_pool.updates.run_background_updates(False))
