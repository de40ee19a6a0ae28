package org.example.splitcache;

import java.util.HashSet;
import java.util.Set;
import io.github.splitcache.v1.Position;

/** Notices an epoch that comes back, in a client that has no database to register epochs in. */
final class Epochs {
  private final Set<String> past = new HashSet<>();
  private String current = "";

  /**
   * An epoch came back after another one: two sidecars answer at this address. Neither receives the
   * other's changes, so this client must stop using the cache.
   */
  static final class TwoSidecars extends RuntimeException {
    TwoSidecars(String epoch) {
      super("two sidecars: " + epoch + " came back");
    }
  }

  /** Takes the position of each reply and frame, in the order in which they come. */
  void see(Position position) {
    String epoch = Cache.epochOf(position);
    if (epoch.equals(current)) {
      return;
    }
    if (past.contains(epoch)) {
      throw new TwoSidecars(epoch);
    }
    if (!current.isEmpty()) {
      past.add(current);
    }
    current = epoch;
  }
}
