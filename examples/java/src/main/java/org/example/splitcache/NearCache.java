package org.example.splitcache;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import io.github.splitcache.v1.CachedEvent;
import io.github.splitcache.v1.Notice;
import io.github.splitcache.v1.Position;
import io.github.splitcache.v1.SubscribeResponse;

/**
 * What a process keeps of replies. Frames alone prove nothing: after a freeze they may be old ones
 * from a buffer. What is kept is used only while a recent position request proves that the stream has
 * not fallen behind.
 */
final class NearCache implements Follower.Listener {
  private static final int EVENTS_KEPT_MAX = 1_000;
  private static final int ANSWERS_MAX = 10;

  /** An answered request whose position the stream has not applied yet. */
  private record Answer(long sentAt, long sequence) {}

  private final Map<String, CachedEvent> events = new LinkedHashMap<>();
  private final Deque<Answer> answers = new ArrayDeque<>();
  // What the stream has applied; without an epoch before its first frame.
  private Position applied = Position.getDefaultInstance();
  // When the stream last began with nothing to go on from.
  private long beganAt = Long.MAX_VALUE;
  // When the newest position request was sent whose position the stream has applied.
  private long provedAt = Gate.NEVER;

  /** A position request, sent while the gate was open, was answered so. */
  synchronized void answered(Position position, long sentAt) {
    if (isOfStream(position, sentAt)) {
      if (answers.size() == ANSWERS_MAX) {
        answers.remove();
      }
      answers.add(new Answer(sentAt, position.getSequence()));
      prove();
    }
  }

  /** The epoch of all that is kept. */
  synchronized String epoch() {
    return Cache.epochOf(applied);
  }

  /** What may be used now, if the gate is open and the epoch is the registered one; or null. */
  synchronized CachedEvent get(String eventId) {
    return Gate.now() - provedAt < Gate.POSITION_AGE_MAX_MS ? events.get(eventId) : null;
  }

  /**
   * Keeps a hit of a reply with this position, unless the stream has applied a later change, which
   * may be one of this event.
   */
  synchronized void keep(CachedEvent event, Position position, long sentAt) {
    boolean isBehind = Long.compareUnsigned(applied.getSequence(), position.getSequence()) > 0;
    if (!isOfStream(position, sentAt) || isBehind) {
      return;
    }
    events.put(event.getEventId(), event);
    if (events.size() > EVENTS_KEPT_MAX) {
      events.remove(events.keySet().iterator().next());
    }
  }

  @Override
  public synchronized void began(SubscribeResponse frame, Position position) {
    if (frame.getReady().getResumed()) {
      return;
    }
    events.clear();
    answers.clear();
    applied = position;
    beganAt = Gate.now();
    provedAt = Gate.NEVER;
  }

  @Override
  public synchronized void changed(Notice notice) {
    switch (notice.getChangeCase()) {
      case EVENT_REDACTED -> events.remove(notice.getEventRedacted().getEventId());
      case EVENT_REJECTED -> events.remove(notice.getEventRejected().getEventId());
      case EVENTS_INVALIDATED -> {
        List<String> eventIds = notice.getEventsInvalidated().getEventIdsList();
        eventIds.forEach(events::remove);
      }
      case ROOM_PURGED -> {
        String roomId = notice.getRoomPurged().getRoomId();
        events.values().removeIf(event -> event.getRoomId().equals(roomId));
      }
      // A change that this client does not know may be of everything.
      default -> events.clear();
    }
    // Before the rest of its batch: a reply from before this change is not kept any more.
    applied = applied.toBuilder().setSequence(notice.getSequence()).build();
  }

  @Override
  public synchronized void applied(Position position) {
    applied = position;
    prove();
  }

  /** Whether a reply to a request of then belongs to what the stream delivers. */
  private boolean isOfStream(Position position, long sentAt) {
    return position.getEpoch().equals(applied.getEpoch()) && sentAt >= beganAt;
  }

  private void prove() {
    while (!answers.isEmpty()
        && Long.compareUnsigned(answers.peek().sequence(), applied.getSequence()) <= 0) {
      provedAt = answers.remove().sentAt();
    }
  }
}
