package org.example.splitcache;

import com.google.gson.JsonParser;
import io.grpc.StatusRuntimeException;
import java.io.BufferedReader;
import java.io.IOException;
import java.sql.SQLException;
import java.util.List;
import io.github.splitcache.v1.CachedEvent;
import io.github.splitcache.v1.Position;

/** A process of a homeserver: it reads events through the cache, and changes them. */
final class Worker {
  private final Cache cache;
  private final HomeserverDatabase homeserver;
  private final NearCache near = new NearCache();
  private final Outbox outbox;

  Worker(Cache cache, String path) throws SQLException {
    this.cache = cache;
    homeserver = new HomeserverDatabase(path);
    outbox = new Outbox(cache, path, near::answered);
  }

  /** Takes commands: read EVENT_ID and change EVENT_ID TEXT. */
  void run(BufferedReader commands) throws IOException, SQLException {
    cache.warmUp();
    startThread(outbox);
    startThread(new Follower(cache, near));
    for (String line = commands.readLine(); line != null; line = commands.readLine()) {
      String[] words = line.split(" ", 3);
      if (words[0].equals("read") && words.length == 2) {
        Found found = read(words[1]);
        System.out.println("read " + words[1] + " " + text(found.event()) + " " + found.source());
      } else if (words[0].equals("change") && words.length == 3) {
        System.out.println("changed " + words[1] + " " + change(words[1], words[2]));
      }
    }
  }

  /** An event, or null, and where it is from. */
  private record Found(CachedEvent event, String source) {}

  private Found read(String eventId) throws SQLException {
    if (!outbox.gate.isOpen()) {
      return new Found(homeserver.read(eventId), "from the database, the gate is closed");
    }
    CachedEvent kept = outbox.gate.uses(near.epoch()) ? near.get(eventId) : null;
    if (kept != null) {
      return new Found(kept, "kept");
    }
    LookedUp found = lookUp(eventId);
    if (found.hit() != null) {
      return new Found(found.hit(), "from the cache");
    }
    // After the reply, never before it.
    CachedEvent event = homeserver.read(eventId);
    if (event != null && found.asOf() != null) {
      try {
        cache.put(found.asOf(), List.of(event));
      } catch (StatusRuntimeException error) {
        System.out.println("not filled: " + error.getStatus().getCode());
      }
    }
    return new Found(event, "from the database");
  }

  /** What the cache has, or a position to fill with, or neither. */
  private record LookedUp(CachedEvent hit, Position asOf) {}

  private LookedUp lookUp(String eventId) {
    long sentAt = Gate.now();
    Cache.Lookup found;
    try {
      found = cache.get(Tour.REDACTED, List.of(eventId));
    } catch (StatusRuntimeException error) {
      return new LookedUp(null, null);
    }
    if (found.position() == null || !outbox.gate.uses(Cache.epochOf(found.position()))) {
      return new LookedUp(null, null);
    }
    if (found.hits().isEmpty() || Gate.now() - sentAt >= Gate.REPLY_AGE_MAX_MS) {
      return new LookedUp(null, found.position());
    }
    near.keep(found.hits().get(0), found.position(), sentAt);
    return new LookedUp(found.hits().get(0), null);
  }

  private String change(String eventId, String text) throws SQLException {
    HomeserverDatabase.Change change = homeserver.change(eventId, text);
    boolean isVisible = outbox.announce(change.row(), change.announcement(), Gate.now());
    return isVisible ? "and announced" : "and left to the relays";
  }

  /** What the outbox is for: a process that dies between its COMMIT and its announcement. */
  static void commitAndDie(String path, String eventId, String text) throws SQLException {
    System.out.println("committed " + new HomeserverDatabase(path).change(eventId, text).row());
    Runtime.getRuntime().halt(137);
  }

  private static String text(CachedEvent event) {
    if (event == null) {
      return "(none)";
    }
    return JsonParser.parseString(event.getBody().toStringUtf8())
        .getAsJsonObject()
        .getAsJsonObject("content")
        .get("body")
        .getAsString();
  }

  private static void startThread(Runnable task) {
    Thread thread = new Thread(task);
    thread.setDaemon(true);
    thread.start();
  }
}
