package org.example.splitcache;

import com.google.protobuf.Duration;
import io.grpc.Context;
import io.grpc.StatusRuntimeException;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import splitcache.v1.EventCacheServiceGrpc;
import splitcache.v1.Notice;
import splitcache.v1.Position;
import splitcache.v1.SubscribeRequest;
import splitcache.v1.SubscribeResponse;

/** Follows what changed, as a worker does, for ever, and misses nothing. */
final class Follower {
  private static final long FIRST_PAUSE_MS = 100;
  private static final long LONGEST_PAUSE_MS = 1_000;

  static volatile int exitCode;

  private final Cache cache;
  private final ScheduledExecutorService timers =
      Executors.newSingleThreadScheduledExecutor(
          task -> {
            Thread thread = new Thread(task);
            thread.setDaemon(true);
            return thread;
          });
  private Position applied;
  private long leaseMs = 5_000;
  private long pauseMs = FIRST_PAUSE_MS;

  Follower(Cache cache) {
    this.cache = cache;
  }

  void run() {
    while (true) {
      try {
        cache.declare();
        subscription();
      } catch (StatusRuntimeException error) {
        System.out.println("disconnected " + error.getStatus().getCode());
      }
      Cache.pause(pauseMs);
      pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS);
    }
  }

  /** Follows one stream to its end. */
  private void subscription() {
    SubscribeRequest.Builder request =
        SubscribeRequest.newBuilder().setHomeserver(cache.homeserver).setSubscriber("example");
    if (applied != null) {
      request.setResumeAfter(applied);
    }
    Context.CancellableContext context = Context.current().withCancellation();
    ScheduledFuture<?> silence = silence(context);
    Context previous = context.attach();
    try {
      Iterator<SubscribeResponse> frames =
          EventCacheServiceGrpc.newBlockingStub(cache.channel).subscribe(request.build());
      while (frames.hasNext()) {
        SubscribeResponse frame = frames.next();
        pauseMs = FIRST_PAUSE_MS;
        apply(frame);
        silence.cancel(false);
        silence = silence(context);
        cache.declare();
      }
    } finally {
      silence.cancel(false);
      context.detach(previous);
      context.cancel(null);
    }
  }

  /**
   * Ends a stream on which nothing has come for a lease: who has heard nothing for as long may have
   * missed a change, and serves nothing that it holds until it has resumed.
   */
  private ScheduledFuture<?> silence(Context.CancellableContext context) {
    return timers.schedule(() -> context.cancel(null), leaseMs, TimeUnit.MILLISECONDS);
  }

  private void apply(SubscribeResponse frame) {
    switch (frame.getFrameCase()) {
      case READY -> {
        move(frame.getReady().getPosition());
        leaseMs = milliseconds(frame.getReady().getLeaseDuration());
        System.out.println("ready " + Cache.show(applied) + " resumed=" + frame.getReady().getResumed());
      }
      case RESET -> {
        // Here a client drops everything that it holds for the homeserver.
        move(frame.getReset().getPosition());
        leaseMs = milliseconds(frame.getReset().getLeaseDuration());
        String reason = Cache.word(frame.getReset().getReason(), "RESET_REASON_");
        System.out.println("reset " + Cache.show(applied) + " " + reason);
      }
      case BATCH -> {
        for (Notice notice : frame.getBatch().getNoticesList()) {
          System.out.println("notice " + notice.getSequence() + " " + describe(notice));
        }
        move(frame.getBatch().getToInclusive());
      }
      case PROGRESS -> move(frame.getProgress().getPosition());
      case GOING_AWAY -> System.out.println("going away");
      default -> {
        // A frame that this client does not know is skipped.
      }
    }
  }

  private void move(Position position) {
    cache.see(position);
    applied = position;
  }

  private static String describe(Notice notice) {
    return switch (notice.getChangeCase()) {
      case EVENT_REDACTED -> {
        var change = notice.getEventRedacted();
        yield words("event_redacted", change.getRoomId(), change.getEventId(), change.getRedactedBy());
      }
      case EVENT_REJECTED -> {
        var change = notice.getEventRejected();
        yield words("event_rejected", change.getRoomId(), change.getEventId(), "" + change.getRejected());
      }
      case EVENTS_INVALIDATED -> {
        var change = notice.getEventsInvalidated();
        List<String> eventIds = change.getEventIdsList();
        yield words("events_invalidated", change.getRoomId(), eventIds.toArray(String[]::new));
      }
      case ROOM_PURGED -> "room_purged " + notice.getRoomPurged().getRoomId();
      // A change that this client does not know may be anything.
      default -> "homeserver_purged";
    };
  }

  private static String words(String kind, String roomId, String... more) {
    return kind + " " + (roomId.isEmpty() ? "-" : roomId) + " " + String.join(" ", more);
  }

  private static long milliseconds(Duration duration) {
    return duration.getSeconds() * 1_000 + duration.getNanos() / 1_000_000;
  }
}
