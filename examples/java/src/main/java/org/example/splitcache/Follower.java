package org.example.splitcache;

import com.google.protobuf.Duration;
import io.grpc.Context;
import io.grpc.StatusRuntimeException;
import java.util.Iterator;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import io.github.splitcache.v1.EventCacheServiceGrpc;
import io.github.splitcache.v1.Notice;
import io.github.splitcache.v1.Position;
import io.github.splitcache.v1.SubscribeRequest;
import io.github.splitcache.v1.SubscribeResponse;

/** Follows what changes, as long as the program runs, and misses nothing. */
final class Follower implements Runnable {
  private static final long FIRST_PAUSE_MS = 100;
  private static final long LONGEST_PAUSE_MS = 1_000;

  /** What is done about the frames. All methods are called in one thread. */
  interface Listener {
    /** Ready or Reset. Unless it resumed, drop everything that is kept. */
    void began(SubscribeResponse frame, Position position);

    /** Drop what the notice names. */
    void changed(Notice notice);

    /** All notices up to here were handed over. */
    void applied(Position position);

    default void goingAway() {}

    default void disconnected(String code) {
      System.out.println("disconnected " + code);
    }
  }

  private final Cache cache;
  private final Listener listener;
  private final ScheduledExecutorService timers =
      Executors.newSingleThreadScheduledExecutor(
          task -> {
            Thread thread = new Thread(task);
            thread.setDaemon(true);
            return thread;
          });
  private Position applied;
  // Until the stream names it.
  private long silenceLimitMs = 5_000;
  private long pauseMs = FIRST_PAUSE_MS;

  Follower(Cache cache, Listener listener) {
    this.cache = cache;
    this.listener = listener;
  }

  @Override
  public void run() {
    while (true) {
      try {
        subscription();
      } catch (StatusRuntimeException error) {
        listener.disconnected(error.getStatus().getCode().toString());
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
        handOver(frame);
        silence.cancel(false);
        silence = silence(context);
      }
    } finally {
      silence.cancel(false);
      context.detach(previous);
      context.cancel(null);
    }
  }

  /**
   * Ends a stream on which no frame has come for the silence limit: it may be cut off. Then the
   * subscriber resumes on a new one.
   */
  private ScheduledFuture<?> silence(Context.CancellableContext context) {
    return timers.schedule(() -> context.cancel(null), silenceLimitMs, TimeUnit.MILLISECONDS);
  }

  private void handOver(SubscribeResponse frame) {
    switch (frame.getFrameCase()) {
      case READY -> {
        silenceLimitMs = milliseconds(frame.getReady().getSilenceLimit());
        listener.began(frame, frame.getReady().getPosition());
        move(frame.getReady().getPosition());
      }
      case RESET -> {
        silenceLimitMs = milliseconds(frame.getReset().getSilenceLimit());
        listener.began(frame, frame.getReset().getPosition());
        move(frame.getReset().getPosition());
      }
      case BATCH -> {
        frame.getBatch().getNoticesList().forEach(listener::changed);
        move(frame.getBatch().getToInclusive());
      }
      case PROGRESS -> move(frame.getProgress().getPosition());
      case GOING_AWAY -> listener.goingAway();
      default -> {
        // A client skips a frame that it does not know.
      }
    }
  }

  private void move(Position position) {
    listener.applied(position);
    applied = position;
  }

  private static long milliseconds(Duration duration) {
    return duration.getSeconds() * 1_000 + duration.getNanos() / 1_000_000;
  }
}
