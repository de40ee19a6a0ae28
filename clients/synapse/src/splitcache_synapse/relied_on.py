"""What of Synapse's source the module replaces, or takes to be as it is."""

from __future__ import annotations

# File of the package `synapse` -> qualified names of functions and classes.
RELIED_ON: dict[str, tuple[str, ...]] = {
    # The form of an event, and of what the sidecar keeps of it. What is written in Rust is known
    # by its stub.
    "events/__init__.py": (
        "make_event_from_dict",
        "make_event_from_json",
        "EventBase.get_dict",
        "EventBase.get_dict_for_persistence",
    ),
    "events/utils.py": ("prune_event", "prune_event_dict", "clone_event"),
    "synapse_rust/events.pyi": ("Event", "EventInternalMetadata", "Unsigned"),
    "server.py": ("HomeServer.run_as_background_process",),
    # The transaction that is wrapped, and its callbacks.
    "storage/database.py": (
        "LoggingTransaction.__init__",
        "LoggingTransaction.call_after",
        "LoggingTransaction.async_call_after",
        "DatabasePool.new_transaction",
        "DatabasePool.runInteraction",
        "DatabasePool.simple_upsert",
        "DatabasePool.simple_upsert_txn",
        "DatabasePool.simple_update",
        "DatabasePool.simple_update_txn",
        "DatabasePool.simple_select_onecol_txn",
    ),
    "storage/databases/main/cache.py": (
        "CacheInvalidationWorkerStore.process_replication_rows",
        "CacheInvalidationWorkerStore._process_event_stream_row",
        "CacheInvalidationWorkerStore._invalidate_caches_for_event",
        "CacheInvalidationWorkerStore._invalidate_caches_for_room_events",
        "CacheInvalidationWorkerStore._invalidate_caches_for_room_events_and_stream",
        "CacheInvalidationWorkerStore._invalidate_caches_for_room",
        "CacheInvalidationWorkerStore._invalidate_caches_for_room_and_stream",
    ),
    # Reads.
    "storage/databases/main/events_worker.py": (
        "EventCacheEntry",
        "_EventRow",
        "EventsWorkerStore.process_replication_rows",
        "EventsWorkerStore.get_events_as_list",
        "EventsWorkerStore.get_unredacted_events_from_cache_or_db",
        "EventsWorkerStore.invalidate_get_event_cache_after_txn",
        "EventsWorkerStore._invalidate_async_get_event_cache",
        "EventsWorkerStore._invalidate_local_get_event_cache",
        "EventsWorkerStore._invalidate_local_get_event_cache_room_id",
        "EventsWorkerStore._invalidate_async_get_event_cache_room_id",
        "EventsWorkerStore._get_events_from_cache",
        "EventsWorkerStore._get_events_from_external_cache",
        "EventsWorkerStore._get_events_from_local_cache",
        "EventsWorkerStore._get_events_from_db",
        "EventsWorkerStore._enqueue_events",
        "EventsWorkerStore._fetch_event_rows",
        "EventsWorkerStore._maybe_redact_event_row",
        "EventsWorkerStore.mark_event_rejected_txn",
    ),
    "util/caches/lrucache.py": ("AsyncLruCache",),
    # Writes: each function that writes to a table of events (see `TABLES`), and its callers.
    "storage/databases/main/censor_events.py": (
        "CensorEventsStore._censor_redactions",
        "CensorEventsStore._censor_event_txn",
        "CensorEventsStore.expire_event",
    ),
    "storage/databases/main/events.py": (
        "PersistEventsStore._persist_events_and_state_updates",
        "PersistEventsStore._persist_events_txn",
        "PersistEventsStore._update_outliers_txn",
        "PersistEventsStore._store_event_txn",
        "PersistEventsStore._store_redaction",
        "PersistEventsStore._store_rejections_txn",
        "PersistEventsStore._add_to_cache",
    ),
    "storage/databases/main/events_bg_updates.py": (
        "EventsBackgroundUpdatesStore._background_reindex_fields_sender",
        "EventsBackgroundUpdatesStore._background_reindex_origin_server_ts",
        "EventsBackgroundUpdatesStore._redactions_received_ts",
        "EventsBackgroundUpdatesStore._redactions_recheck_bg_update",
        "EventsBackgroundUpdatesStore._event_fix_redactions_bytes",
        "EventsBackgroundUpdatesStore._background_populate_stream_ordering2",
        "EventsBackgroundUpdatesStore._background_events_populate_state_key_rejections",
        "EventsBackgroundUpdatesStore.fixup_max_depth_cap_bg_update",
        "EventsBackgroundUpdatesStore._resign_events",
    ),
    "storage/databases/main/purge_events.py": (
        "PurgeEventsStore._purge_history_txn",
        "PurgeEventsStore._purge_room_txn",
        "PurgeEventsStore.purge_history",
        "PurgeEventsStore.purge_room",
    ),
    "storage/databases/main/state.py": (
        "StateGroupWorkerStore._update_state_for_partial_state_event_txn",
    ),
    "storage/databases/main/sticky_events.py": (
        "StickyEventsWorkerStore.un_soft_fail_sticky_events_txn",
    ),
}

# Tables that hold what is cached of an event.
TABLES = ("events", "event_json", "redactions", "rejections", "room_ban_redactions")
