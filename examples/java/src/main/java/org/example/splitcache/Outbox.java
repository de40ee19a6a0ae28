package org.example.splitcache;

import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.sql.SQLException;
import java.util.List;
import java.util.function.BiConsumer;
import java.util.function.Function;
import io.github.splitcache.v1.EventCacheServiceGrpc.EventCacheServiceBlockingStub;
import io.github.splitcache.v1.GetEventsResponse;
import io.github.splitcache.v1.Position;

/**
 * Announces what this process changes, and relays what other processes left behind. It polls in a
 * thread of its own: a main loop that is busy must not close the gate.
 */
final class Outbox implements Runnable {
  // Short, so that a sidecar that does not answer does not delay the next poll for long.
  private static final long CALL_MS = 500;
  private static final long PAUSE_MS = 50;

  final Gate gate = new Gate();
  private final Cache cache;
  private final OutboxTable table;
  // For announcements of this process, which its main thread makes.
  private final OutboxTable writerTable;
  private final BiConsumer<Position, Long> answered;
  private Gate.Poll pollBefore;

  /**
   * Each takes a connection of its own.
   *
   * @param answered takes each position requested while the gate was open, and when it was
   */
  Outbox(Cache cache, String path, BiConsumer<Position, Long> answered) throws SQLException {
    this.cache = cache;
    this.answered = answered;
    table = new OutboxTable(new Database(path));
    writerTable = new OutboxTable(new Database(path));
  }

  /**
   * Announces a change whose COMMIT was answered. Returns true once no lookup that begins later is
   * stale; false if it took too long: then readers have closed their gates, and whoever polls relays
   * the row.
   */
  boolean announce(String row, Announcement announcement, long committedAt) throws SQLException {
    String epoch = "";
    boolean isDeleted = false;
    while (Gate.now() - committedAt < Gate.WRITE_WAIT_MS) {
      if (!isDeleted) {
        epoch = call(announcement);
        isDeleted =
            gate.announced(List.of(row), epoch) && writerTable.delete(List.of(row), epoch);
      }
      if (isDeleted && gate.counts(epoch)) {
        return true;
      }
      Cache.pause(PAUSE_MS);
    }
    return false;
  }

  @Override
  public void run() {
    while (true) {
      long endsAt = Gate.now() + Gate.POLL_MS;
      boolean isAgain = false;
      try {
        isAgain = turn(endsAt);
      } catch (SQLException | RuntimeException error) {
        // The gate closes by itself. Nothing may end this thread: it would stay closed.
        System.out.println("the outbox cannot be followed: " + error.getMessage());
      }
      if (!isAgain) {
        Cache.pause(Math.max(PAUSE_MS, endsAt - Gate.now()));
      }
    }
  }

  /** Polls, and does what is most urgent. Returns whether the next turn is due at once. */
  private boolean turn(long endsAt) throws SQLException {
    Gate.Poll poll = table.poll();
    Gate.Poll before = pollBefore;
    pollBefore = poll;
    gate.learn(poll);
    if (before == null || !poll.epoch().equals(before.epoch())) {
      System.out.println("registered " + (poll.epoch().isEmpty() ? "no epoch" : poll.epoch()));
    }
    if (gate.isOtherDatabase()) {
      // The cache may hold what this database has never held, or holds no more.
      return beginEpoch(poll);
    }
    String epoch = requestPosition();
    if (epoch != null && !epoch.equals(poll.epoch()) && table.register(epoch, poll)) {
      // It is used from the next poll on, which shows it.
      return true;
    }
    if (gate.isEpochSilent()) {
      return beginEpoch(poll);
    }
    boolean isHeard = poll.epoch().equals(epoch);
    // One process that raises them is enough.
    table.raiseCounters(
        before == null || poll.counter() == before.counter(),
        isHeard && (before == null || poll.heard() == before.heard()),
        poll.epoch());
    if (isHeard) {
      relay(poll, endsAt);
    }
    return false;
  }

  private boolean beginEpoch(Gate.Poll poll) throws SQLException {
    String epoch = purge(true);
    if (epoch == null || !table.register(epoch, poll)) {
      return false;
    }
    gate.purged();
    return true;
  }

  private String requestPosition() {
    boolean isOpen = gate.isOpen();
    long sentAt = Gate.now();
    GetEventsResponse reply;
    try {
      reply = cache.callOnce(CALL_MS, stub -> stub.getEvents(cache.positionRequest()));
    } catch (StatusRuntimeException error) {
      return null;
    }
    if (isOpen) {
      answered.accept(reply.getPosition(), sentAt);
    }
    return Cache.epochOf(reply.getPosition());
  }

  private void relay(Gate.Poll poll, long endsAt) throws SQLException {
    if (poll.rows().size() > Gate.ROWS_MAX) {
      String epoch = purge(false);
      if (gate.announced(poll.rows(), epoch)) {
        table.delete(poll.rows(), epoch);
      }
      return;
    }
    int relayed = 0;
    for (String row : gate.overdue()) {
      String text = table.announcement(row);
      // A row that is gone was relayed by another process.
      if (text != null) {
        if (!gate.announced(List.of(row), call(Announcement.parse(text)))) {
          break;
        }
        relayed++;
      }
      if (Gate.now() >= endsAt) {
        break;
      }
    }
    List<String> rows = gate.deletable();
    if (!rows.isEmpty() && table.delete(rows, poll.epoch()) && relayed > 0) {
      System.out.println("relayed " + relayed);
    }
  }

  /** Returns the epoch in which all calls of an announcement were answered OK, if it is one. */
  private String call(Announcement announcement) {
    String epoch = null;
    for (Function<EventCacheServiceBlockingStub, Position> call : announcement.calls(cache.homeserver)) {
      String answeredIn;
      try {
        answeredIn = Cache.epochOf(cache.callOnce(CALL_MS, call));
      } catch (StatusRuntimeException error) {
        // It would be refused each time. A purge covers it.
        boolean isRefused = error.getStatus().getCode() == Status.Code.INVALID_ARGUMENT;
        return isRefused ? purge(false) : null;
      }
      if (epoch != null && !epoch.equals(answeredIn)) {
        return null;
      }
      epoch = answeredIn;
    }
    // What says nothing may concern everything.
    return epoch == null ? purge(false) : epoch;
  }

  private String purge(boolean newEpoch) {
    try {
      return Cache.epochOf(cache.callOnce(CALL_MS, Announcement.purge(cache.homeserver, newEpoch)));
    } catch (StatusRuntimeException error) {
      return null;
    }
  }
}
