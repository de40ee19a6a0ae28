package org.example.splitcache;

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;

/** One connection to a SQLite file, for one thread. It begins no transaction by itself. */
final class Database {
  private static final String OPTIONS = "?busy_timeout=1000&journal_mode=WAL";

  private final Connection connection;

  Database(String path) throws SQLException {
    connection = DriverManager.getConnection("jdbc:sqlite:" + path + OPTIONS);
  }

  interface Work<T> {
    T run() throws SQLException;
  }

  interface Row<T> {
    T of(ResultSet row) throws SQLException;
  }

  /** Commits what the work has done, unless it fails. */
  <T> T transaction(Work<T> work) throws SQLException {
    // With the lock of writers, so that it cannot fail halfway for want of it.
    execute("BEGIN IMMEDIATE");
    T result;
    try {
      result = work.run();
    } catch (SQLException | RuntimeException error) {
      execute("ROLLBACK");
      throw error;
    }
    execute("COMMIT");
    return result;
  }

  void execute(String sql) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      statement.execute(sql);
    }
  }

  /** Returns how many rows were changed. */
  int update(String sql, Object... values) throws SQLException {
    try (PreparedStatement statement = prepare(sql, values)) {
      return statement.executeUpdate();
    }
  }

  /** Returns null if there is no row. */
  <T> T first(Row<T> result, String sql, Object... values) throws SQLException {
    try (PreparedStatement statement = prepare(sql, values);
        ResultSet rows = statement.executeQuery()) {
      return rows.next() ? result.of(rows) : null;
    }
  }

  PreparedStatement prepare(String sql, Object... values) throws SQLException {
    PreparedStatement statement = connection.prepareStatement(sql);
    for (int i = 0; i < values.length; i++) {
      statement.setObject(i + 1, values[i]);
    }
    return statement;
  }
}
