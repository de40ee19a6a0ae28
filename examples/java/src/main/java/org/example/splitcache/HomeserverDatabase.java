package org.example.splitcache;

import com.google.protobuf.ByteString;
import java.sql.SQLException;
import java.util.List;
import io.github.splitcache.v1.CachedEvent;

/** A homeserver's database: events that can change. New events owe no announcement. */
final class HomeserverDatabase {
  private final Database database;

  HomeserverDatabase(String path) throws SQLException {
    database = new Database(path);
    OutboxTable.create(database);
    database.execute(
        "CREATE TABLE IF NOT EXISTS events (event_id TEXT PRIMARY KEY, body TEXT NOT NULL)");
    for (CachedEvent event : List.of(Tour.message(Tour.ONE, "one"), Tour.message(Tour.TWO, "two"))) {
      database.update(
          "INSERT INTO events VALUES (?, ?) ON CONFLICT DO NOTHING",
          event.getEventId(),
          event.getBody().toStringUtf8());
    }
  }

  /** Returns null if there is no such event. */
  CachedEvent read(String eventId) throws SQLException {
    String body =
        database.first(row -> row.getString(1), "SELECT body FROM events WHERE event_id = ?", eventId);
    return body == null
        ? null
        : CachedEvent.newBuilder()
            .setEventId(eventId)
            .setRoomId(Tour.ROOM)
            .setRoomVersion("10")
            .setBody(ByteString.copyFromUtf8(body))
            .build();
  }

  /** A change whose COMMIT was answered: the row of the outbox, and what it says. */
  record Change(String row, Announcement announcement) {}

  /** If this throws, the outcome may be unknown: the row, if it is there, is relayed. */
  Change change(String eventId, String text) throws SQLException {
    Announcement announcement = Announcement.eventsChanged(Tour.ROOM, List.of(eventId));
    String body = Tour.message(eventId, text).getBody().toStringUtf8();
    String row =
        database.transaction(
            () -> {
              database.update("UPDATE events SET body = ? WHERE event_id = ?", body, eventId);
              return OutboxTable.insert(database, announcement.text());
            });
    return new Change(row, announcement);
  }
}
