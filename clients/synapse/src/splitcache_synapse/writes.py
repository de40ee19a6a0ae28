"""The way of a change: every place where Synapse changes what it stores of an event."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

from synapse.logging.context import make_deferred_yieldable

from splitcache_client.gen import event_cache_service_pb2 as pb
from splitcache_client.pending import Pending
from splitcache_synapse.announcer import Announcer
from splitcache_synapse.outbox_database import insert

logger = logging.getLogger(__name__)

_BAN_REDACTIONS = "room_ban_redactions"


class Writes:
    """Replaces the methods of Synapse's stores that change stored events.

    Inside the transaction each notes what it changes, and just before COMMIT a row of the outbox
    takes it down; after COMMIT, and before Synapse drops the event from its own cache, that is
    announced. Not announced is the event that a transaction stores for the first time: nobody
    caches that an event is absent.
    """

    def __init__(
        self,
        store: Any,
        persist_events: Any | None,
        announcer: Announcer,
        *,
        has_outbox: bool,
        position: Callable[[], pb.Position | None],
        stored: Callable[[Sequence[str], pb.Position | None], None] | None,
    ) -> None:
        """`position` gives one that is known now, in any thread. `stored` is called after each
        transaction that stores events, with their IDs and a position from before it, unless it is
        None."""
        self._announcer = announcer
        self._has_outbox = has_outbox
        self._position = position
        self._stored = stored
        self._stored_now = threading.local()
        self._invalidate_locally = store._invalidate_local_get_event_cache
        self._db_pool = store.db_pool
        _wrap(store.db_pool, "new_transaction", self._around_transaction)
        store.invalidate_get_event_cache_after_txn = self._after_event_change
        _wrap(store, "_purge_room_txn", self._in_room_change)
        _wrap(store, "_purge_history_txn", self._in_room_change)
        _wrap(store, "_censor_event_txn", self._in_censoring)
        _wrap(store, "mark_event_rejected_txn", self._in_rejection)
        if persist_events is not None:
            _wrap(persist_events, "_persist_events_txn", self._in_persisting)
            _wrap(persist_events, "_update_outliers_txn", self._in_outlier_update)
            _wrap(persist_events.db_pool, "simple_upsert", self._around_ban_redaction)
            _wrap(persist_events.db_pool, "simple_update", self._around_ban_redaction_end)

    def _pending(self, txn: Any) -> Pending:
        """The one of this transaction, which Synapse may try several times."""
        pending = self._noted(txn)
        if pending is not None:
            return pending
        pending = Pending()
        # Only once COMMIT has been answered. Whether one that failed took effect is not known: its
        # row, if it is there, is relayed.
        txn.async_call_after(self._finish, pending)
        return pending

    def _noted(self, txn: Any) -> Pending | None:
        for callback, args, _ in txn.async_after_callbacks or ():
            if callback == self._finish:
                pending: Pending = args[0]
                return pending
        return None

    def _around_transaction(
        self,
        original: Callable[..., Any],
        conn: Any,
        desc: str,
        after: Any,
        async_after: Any,
        on_exception: Any,
        func: Callable[..., Any],
        *args: Any,
        **kw: Any,
    ) -> Any:
        def then_commit(txn: Any, *args: Any, **kw: Any) -> Any:
            result = func(txn, *args, **kw)
            pending = self._noted(txn)
            if pending is not None and self._has_outbox:
                insert(txn, pending)
            return result

        return original(conn, desc, after, async_after, on_exception, then_commit, *args, **kw)

    async def _finish(self, pending: Pending) -> None:
        try:
            await make_deferred_yieldable(self._announcer.finish(pending))
        except Exception:
            # The transaction has committed: nothing may be raised. The outbox is relayed.
            logger.exception("splitcache: a change was not announced")

    def _after_event_change(self, txn: Any, event_id: str) -> None:
        if event_id not in getattr(self._stored_now, "event_ids", ()):
            self._pending(txn).add_events("", [event_id])
        txn.call_after(self._invalidate_locally, event_id)

    def _in_persisting(self, original: Callable[..., Any], txn: Any, *args: Any, **kw: Any) -> Any:
        events_and_contexts = kw["events_and_contexts"]
        event_ids = [event.event_id for event, _ in events_and_contexts]
        self._report_stored(txn, event_ids)
        self._stored_now.event_ids = frozenset(event_ids)
        try:
            return original(txn, *args, **kw)
        finally:
            self._stored_now.event_ids = frozenset()

    def _report_stored(self, txn: Any, event_ids: list[str]) -> None:
        """Called before the first statement, so that the position is older than the transaction.
        Once for all attempts: that of the first holds, since its COMMIT may have taken effect."""
        if self._stored is None:
            return
        if all(callback != self._stored for callback, _, _ in txn.after_callbacks or ()):
            txn.call_after(self._stored, event_ids, self._position())

    def _in_outlier_update(
        self, original: Callable[..., Any], txn: Any, *args: Any, **kw: Any
    ) -> Any:
        given = kw["events_and_contexts"]
        stored_first = original(txn, *args, **kw)
        first_ids = {event.event_id for event, _ in stored_first}
        before = [event for event, _ in given if event.event_id not in first_ids]
        if before:
            # All are of one room.
            event_ids = [event.event_id for event in before]
            self._pending(txn).add_events(before[0].room_id, event_ids)
        return stored_first

    def _in_room_change(
        self, original: Callable[..., Any], txn: Any, room_id: str, *args: Any, **kw: Any
    ) -> Any:
        self._pending(txn).add_room(room_id)
        return original(txn, room_id, *args, **kw)

    def _in_censoring(
        self, original: Callable[..., Any], txn: Any, event_id: str, *args: Any, **kw: Any
    ) -> Any:
        self._pending(txn).add_events("", [event_id])
        return original(txn, event_id, *args, **kw)

    def _in_rejection(
        self, original: Callable[..., Any], txn: Any, event_id: str, *args: Any, **kw: Any
    ) -> Any:
        # Whether a redaction counts depends on whether it is rejected: its target changes too.
        redacted = self._db_pool.simple_select_onecol_txn(
            txn, table="redactions", keyvalues={"event_id": event_id}, retcol="redacts"
        )
        if redacted:
            self._pending(txn).add_events("", redacted)
        # So does a ban with redaction, with all that the user sent to the room.
        rooms = self._db_pool.simple_select_onecol_txn(
            txn,
            table=_BAN_REDACTIONS,
            keyvalues={"redacting_event_id": event_id},
            retcol="room_id",
        )
        for room_id in rooms:
            self._pending(txn).add_room(room_id)
        return original(txn, event_id, *args, **kw)

    async def _around_ban_redaction(
        self,
        original: Callable[..., Any],
        table: str,
        keyvalues: Any,
        values: Any,
        insertion_values: Any = None,
        where_clause: str | None = None,
        desc: str = "simple_upsert",
    ) -> Any:
        """MSC4293: one row redacts all that a user sent to a room. Synapse would autocommit it."""
        if table != _BAN_REDACTIONS:
            return await original(table, keyvalues, values, insertion_values, where_clause, desc)

        def upsert(txn: Any) -> Any:
            self._pending(txn).add_room(keyvalues["room_id"])
            return self._db_pool.simple_upsert_txn(
                txn, table, keyvalues, values, insertion_values or {}, where_clause
            )

        return await self._db_pool.runInteraction(desc, upsert)

    async def _around_ban_redaction_end(
        self,
        original: Callable[..., Any],
        table: str,
        keyvalues: Any,
        updatevalues: Any,
        desc: str,
    ) -> Any:
        """The row's end. Synapse updates it at each join and kick, mostly where there is none."""
        if table != _BAN_REDACTIONS:
            return await original(table, keyvalues, updatevalues, desc)

        def update(txn: Any) -> Any:
            rows = self._db_pool.simple_update_txn(txn, table, keyvalues, updatevalues)
            if rows:
                self._pending(txn).add_room(keyvalues["room_id"])
            return rows

        return await self._db_pool.runInteraction(desc, update)

    async def announce_event(self, event_id: str) -> None:
        """For a change that was made in no transaction of this process's."""

        def note(txn: Any) -> None:
            self._pending(txn).add_events("", [event_id])

        await self._db_pool.runInteraction("splitcache_announce_event", note)

    async def announce_all(self) -> None:
        """Anything may have changed."""

        def note(txn: Any) -> None:
            self._pending(txn).add_homeserver()

        await self._db_pool.runInteraction("splitcache_announce_all", note)


def _wrap(target: Any, name: str, wrapper: Callable[..., Any]) -> None:
    original = getattr(target, name)

    def wrapped(*args: Any, **kw: Any) -> Any:
        return wrapper(original, *args, **kw)

    setattr(target, name, wrapped)
