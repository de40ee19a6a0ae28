package org.example.splitcache;

import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * The rules of docs/announcing.md without any I/O: which rows are overdue, whether the cache may be
 * read, and which epoch counts. Times are milliseconds of the clock of this process. May be asked in
 * any thread.
 */
final class Gate {
  static final long POLL_MS = 1_000;
  // R, G, A, D, T and N of docs/announcing.md.
  static final long RELAY_AFTER_MS = 2_000;
  static final long POLL_AGE_MAX_MS = 3_000;
  static final long ROW_AGE_MAX_MS = 4_000;
  static final long REPLY_AGE_MAX_MS = 250;
  static final long WRITE_WAIT_MS = 4_000;
  static final long POSITION_AGE_MAX_MS = 2_000;
  static final long EPOCH_SILENCE_MS = 30_000;
  static final int ROWS_MAX = 10_000;
  // Before the clock began: a time that is too long ago for everything.
  static final long NEVER = -TimeUnit.DAYS.toMillis(365);

  private static final long STARTED_NS = System.nanoTime();

  /** The time on the monotonic clock of this process. */
  static long now() {
    return TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - STARTED_NS);
  }

  /**
   * What one poll showed.
   *
   * @param sentAt just before it was sent
   * @param rows IDs; at most one more than ROWS_MAX
   * @param epoch the registered one, hexadecimal; empty before the first one
   * @param generation the life of the database that answered
   * @param recordedGeneration the one that was recorded
   * @param counter raised by pollers
   * @param heard raised by pollers that have had a reply of the registered epoch
   */
  record Poll(
      long sentAt,
      List<String> rows,
      String epoch,
      String generation,
      String recordedGeneration,
      long counter,
      long heard) {}

  private String epoch = "";
  private long epochSince;
  private long heard = -1;
  private long heardSince;
  private long counter = -1;
  private boolean isOtherDatabase;
  // When the last successful poll was sent.
  private long polledAt = NEVER;
  // Of each row that it showed: when the last successful poll was sent that did not show it.
  private Map<String, Long> absentAt = Map.of();
  // Rows that this process has announced in the registered epoch, and when.
  private final Map<String, Long> announcedAt = new HashMap<>();

  synchronized void learn(Poll poll) {
    if (!poll.epoch().equals(epoch)) {
      // What was announced before went to another log.
      announcedAt.clear();
      epoch = poll.epoch();
      epochSince = now();
      heard = -1;
    }
    if (poll.heard() != heard) {
      heard = poll.heard();
      heardSince = now();
    }
    if (!poll.generation().equals(poll.recordedGeneration()) || poll.counter() < counter) {
      isOtherDatabase = true;
    }
    counter = poll.counter();
    if (poll.rows().size() > ROWS_MAX) {
      // These are not all rows: the poll does not count.
      return;
    }
    Map<String, Long> shown = new HashMap<>();
    for (String row : poll.rows()) {
      shown.put(row, absentAt.getOrDefault(row, polledAt));
    }
    absentAt = shown;
    polledAt = poll.sentAt();
    announcedAt
        .entrySet()
        .removeIf(entry -> !shown.containsKey(entry.getKey()) && entry.getValue() <= poll.sentAt());
  }

  /**
   * These announcements were answered OK in this epoch. Returns false if that is not the registered
   * one: then they do not count.
   */
  synchronized boolean announced(Collection<String> rows, String epochOfOk) {
    if (!epoch.equals(epochOfOk)) {
      return false;
    }
    rows.forEach(row -> announcedAt.put(row, now()));
    return true;
  }

  /** Everything was purged because of the other database, and the new epoch registered. */
  synchronized void purged() {
    isOtherDatabase = false;
  }

  /** Whether a lookup may be sent now, and what is kept be used. */
  synchronized boolean isOpen() {
    return !isOtherDatabase
        && now() - polledAt < POLL_AGE_MAX_MS
        && owed(ROW_AGE_MAX_MS).isEmpty();
  }

  /** Whether replies and positions of this epoch may be used. */
  synchronized boolean uses(String epochOfReply) {
    return !epochOfReply.isEmpty() && epochOfReply.equals(epoch);
  }

  /**
   * Whether an OK of this epoch, under which the row was deleted, makes a write visible: until then
   * another process may still read in the epoch before.
   */
  synchronized boolean counts(String epochOfOk) {
    return epoch.equals(epochOfOk) && now() - epochSince >= POLL_AGE_MAX_MS;
  }

  /** The rows that this process must relay. */
  synchronized List<String> overdue() {
    return owed(RELAY_AFTER_MS);
  }

  /** Rows that the last poll showed, although this process has announced them. */
  synchronized List<String> deletable() {
    return absentAt.keySet().stream().filter(announcedAt::containsKey).toList();
  }

  synchronized boolean isOtherDatabase() {
    return isOtherDatabase;
  }

  /** Whether no process has had a reply of the registered epoch for too long. */
  synchronized boolean isEpochSilent() {
    return !epoch.isEmpty() && now() - heardSince >= EPOCH_SILENCE_MS;
  }

  /** The rows of at least this age that this process has not announced. */
  private List<String> owed(long ageMs) {
    long now = now();
    return absentAt.entrySet().stream()
        .filter(row -> !announcedAt.containsKey(row.getKey()) && now - row.getValue() >= ageMs)
        .map(Map.Entry::getKey)
        .toList();
  }
}
