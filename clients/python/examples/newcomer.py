"""Reads through a sidecar, writes with the outbox, follows changes. Run it again: it goes on.

newcomer.py ADDRESS DATABASE, for example: newcomer.py 127.0.0.1:50051 homeserver.db
"""

import sqlite3
import sys
import threading

from splitcache_client import Event, OutboxDatabase, Pending, SplitCache

ROOM = "!room:alpha.example"
address, path = sys.argv[1:]
outbox = OutboxDatabase.sqlite(path)
db = sqlite3.connect(path)
db.execute("CREATE TABLE IF NOT EXISTS events (id TEXT PRIMARY KEY, json TEXT NOT NULL)")
db.execute("INSERT INTO events VALUES ('$greeting', '{\"n\":0}') ON CONFLICT DO NOTHING")
db.commit()


def read(event_ids):
    """The events that the database has."""
    print("database:", *event_ids)
    marks = ", ".join("?" * len(event_ids))
    rows = db.execute(f"SELECT id, json FROM events WHERE id IN ({marks})", tuple(event_ids))
    return [Event(event_id, ROOM, "11", text.encode()) for event_id, text in rows]


def write(cache, event_id):
    """Changes the event, and announces it: what is owed commits with the change."""
    change = Pending()
    change.add_events(ROOM, [event_id])
    cursor = db.cursor()
    cursor.execute(
        "UPDATE events SET json = json_set(json, '$.n', json_extract(json, '$.n') + 1)"
        " WHERE id = ?",
        (event_id,),
    )
    outbox.insert(cursor, change)
    db.commit()
    cache.announce(change)


def follow(changes):
    for change in changes:
        print("changed:", change, flush=True)


with SplitCache.connect(address=address, homeserver="alpha.example", database=outbox) as cache:
    cache.wait_until_current()
    follower = threading.Thread(target=follow, args=[cache.changes()])
    follower.start()
    for _ in range(2):
        print("read:", cache.get_or_fetch(["$greeting"], read)["$greeting"].body.decode())
        cache.settled()
    write(cache, "$greeting")
    print("read:", cache.get_or_fetch(["$greeting"], read)["$greeting"].body.decode(), flush=True)
    cache.settled()
follower.join()
db.close()
