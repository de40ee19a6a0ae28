package org.example.splitcache;

import java.security.SecureRandom;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;

/**
 * The outbox in the homeserver's database: its tables, and the statements on them.
 *
 * <p>Here the database is one SQLite file. With PostgreSQL the statements are the same, in READ
 * COMMITTED, but for the generation: see docs/announcing.md.
 */
final class OutboxTable {
  private static final int VERSION = 1;
  private static final List<String> TABLES =
      List.of(
          "CREATE TABLE IF NOT EXISTS splitcache_outbox"
              + " (id TEXT PRIMARY KEY, announcement TEXT NOT NULL)",
          "CREATE TABLE IF NOT EXISTS splitcache_state"
              + " (singleton INTEGER PRIMARY KEY CHECK (singleton = 1), version INTEGER NOT NULL,"
              + " epoch TEXT NOT NULL, generation TEXT NOT NULL,"
              + " counter BIGINT NOT NULL, heard BIGINT NOT NULL)",
          "CREATE TABLE IF NOT EXISTS splitcache_superseded_epochs"
              + " (epoch TEXT PRIMARY KEY, superseded_at BIGINT NOT NULL)",
          "INSERT INTO splitcache_state VALUES (1, 1, '', '', 0, 0) ON CONFLICT DO NOTHING");
  private static final SecureRandom RANDOM = new SecureRandom();

  private final Database database;

  /** The database is for this alone. */
  OutboxTable(Database database) {
    this.database = database;
  }

  /** Before the first change. */
  static void create(Database database) throws SQLException {
    for (String table : TABLES) {
      database.execute(table);
    }
    int version = database.first(row -> row.getInt(1), "SELECT version FROM splitcache_state");
    if (version != VERSION) {
      throw new IllegalStateException(
          "the outbox has version " + version + ", this program knows " + VERSION);
    }
  }

  /** Adds a row to the transaction that changes events. Each attempt has a new random ID. */
  static String insert(Database database, String announcement) throws SQLException {
    byte[] random = new byte[16];
    RANDOM.nextBytes(random);
    String row = HexFormat.of().formatHex(random);
    database.update("INSERT INTO splitcache_outbox VALUES (?, ?)", row, announcement);
    return row;
  }

  Gate.Poll poll() throws SQLException {
    long sentAt = Gate.now();
    // In this order: a row that is gone because it was announced in another epoch is not shown, so
    // the epoch that is read after it must be that one.
    List<String> ids = new ArrayList<>();
    try (PreparedStatement statement =
            database.prepare("SELECT id FROM splitcache_outbox LIMIT ?", Gate.ROWS_MAX + 1);
        ResultSet rows = statement.executeQuery()) {
      while (rows.next()) {
        ids.add(rows.getString(1));
      }
    }
    return database.first(
        state ->
            new Gate.Poll(
                sentAt,
                ids,
                state.getString(1),
                "sqlite",
                state.getString(2),
                state.getLong(3),
                state.getLong(4)),
        "SELECT epoch, generation, counter, heard FROM splitcache_state");
  }

  /** What a row owes; null if it is gone. */
  String announcement(String row) throws SQLException {
    return database.first(
        found -> found.getString(1), "SELECT announcement FROM splitcache_outbox WHERE id = ?", row);
  }

  /** Deletes announced rows if the epoch of their OK is registered. Returns whether it is. */
  boolean delete(List<String> rows, String epoch) throws SQLException {
    return database.transaction(
        () -> {
          String registered =
              database.first(state -> state.getString(1), "SELECT epoch FROM splitcache_state");
          if (!registered.equals(epoch)) {
            return false;
          }
          for (String row : rows) {
            database.update("DELETE FROM splitcache_outbox WHERE id = ?", row);
          }
          return true;
        });
  }

  /**
   * Registers an epoch in place of the one that this poll showed, unless it was superseded before.
   * Records the generation of the database with it.
   */
  boolean register(String epoch, Gate.Poll replaced) throws SQLException {
    return database.transaction(
        () -> {
          int changed =
              database.update(
                  "UPDATE splitcache_state SET epoch = ?, generation = ? WHERE epoch = ? AND NOT"
                      + " EXISTS (SELECT 1 FROM splitcache_superseded_epochs WHERE epoch = ?)",
                  epoch,
                  replaced.generation(),
                  replaced.epoch(),
                  epoch);
          if (changed == 1 && !replaced.epoch().isEmpty()) {
            database.update(
                "INSERT INTO splitcache_superseded_epochs SELECT ?,"
                    + " coalesce(max(superseded_at), 0) + 1 FROM splitcache_superseded_epochs",
                replaced.epoch());
          }
          return changed == 1;
        });
  }

  void raiseCounters(boolean counter, boolean heard, String epoch) throws SQLException {
    if (counter || heard) {
      database.update(
          "UPDATE splitcache_state SET counter = counter + ?, heard = heard + ? WHERE epoch = ?",
          counter ? 1 : 0,
          heard ? 1 : 0,
          epoch);
    }
  }
}
