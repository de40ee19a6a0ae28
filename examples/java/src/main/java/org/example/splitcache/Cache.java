package org.example.splitcache;

import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import io.grpc.netty.shaded.io.netty.channel.ChannelOption;
import io.grpc.netty.shaded.io.netty.channel.EventLoopGroup;
import io.grpc.netty.shaded.io.netty.channel.epoll.EpollDomainSocketChannel;
import io.grpc.netty.shaded.io.netty.channel.epoll.EpollEventLoopGroup;
import io.grpc.netty.shaded.io.netty.channel.unix.DomainSocketAddress;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import splitcache.v1.CachedEvent;
import splitcache.v1.DeclareWritersRequest;
import splitcache.v1.DeclareWritersResponse;
import splitcache.v1.EventCacheServiceGrpc;
import splitcache.v1.EventCacheServiceGrpc.EventCacheServiceBlockingStub;
import splitcache.v1.GetEventsRequest;
import splitcache.v1.GetEventsResponse;
import splitcache.v1.Position;
import splitcache.v1.PutEventsRequest;
import splitcache.v1.PutEventsResponse;
import splitcache.v1.PutOutcome;
import splitcache.v1.RedactionView;

/** The calls, with what each client has to see to. */
final class Cache implements AutoCloseable {
  // Every call has a deadline: a cache that does not answer must not hold up its user.
  static final long DEADLINE_MS = 1_000;
  // The first call also loads classes and connects: make it before anybody waits for an answer.
  static final long FIRST_DEADLINE_MS = 10_000;
  private static final int ATTEMPTS = 5;
  private static final int REQUEST_BYTES_MAX = 4_000_000;
  private static final int EVENTS_MAX = 500;

  final String homeserver;
  final ManagedChannel channel;
  private final EventLoopGroup loop;
  private final List<String> writers;
  private final Set<String> pastEpochs = new HashSet<>();
  private String epoch = "";
  private String declaredIn = "";

  Cache(String address, String homeserver, List<String> writers) {
    this.homeserver = homeserver;
    this.writers = writers;
    if (address.startsWith("unix:")) {
      loop = new EpollEventLoopGroup(1);
      channel =
          NettyChannelBuilder.forAddress(new DomainSocketAddress(address.substring("unix:".length())))
              .eventLoopGroup(loop)
              .channelType(EpollDomainSocketChannel.class)
              // Which a Unix socket does not know.
              .withOption(ChannelOption.SO_KEEPALIVE, null)
              // The path is no name of a host.
              .overrideAuthority("localhost")
              .usePlaintext()
              .build();
    } else {
      loop = null;
      // A sidecar is near: no proxy that the environment names stands in between.
      channel =
          NettyChannelBuilder.forTarget(address).usePlaintext().proxyDetector(target -> null).build();
    }
  }

  @Override
  public void close() {
    channel.shutdownNow();
    if (loop != null) {
      loop.shutdownGracefully(0, 1, TimeUnit.SECONDS);
    }
  }

  /**
   * An epoch that was replaced came back: two sidecars answer at this address. They do not hear
   * each other's changes, so this client must stop using the cache.
   */
  static final class TwoSidecars extends RuntimeException {
    TwoSidecars(String epoch) {
      super("two sidecars: " + epoch + " came back");
    }
  }

  /** Makes one call. Each may be repeated: at worst a repeat turns a hit into a miss. */
  <R> R call(Function<EventCacheServiceBlockingStub, R> method, Function<R, Position> positionOf) {
    for (int attempt = 1; ; attempt++) {
      try {
        long deadlineMs = epoch.isEmpty() ? FIRST_DEADLINE_MS : DEADLINE_MS;
        R reply =
            method.apply(
                EventCacheServiceGrpc.newBlockingStub(channel)
                    .withDeadlineAfter(deadlineMs, TimeUnit.MILLISECONDS));
        see(positionOf.apply(reply));
        return reply;
      } catch (StatusRuntimeException error) {
        if (error.getStatus().getCode() != Status.Code.UNAVAILABLE || attempt == ATTEMPTS) {
          throw error;
        }
        pause(25L << attempt);
      }
    }
  }

  /** Takes every position that comes. */
  void see(Position position) {
    String seen = hex(position);
    if (seen.equals(epoch)) {
      return;
    }
    if (pastEpochs.contains(seen)) {
      throw new TwoSidecars(seen);
    }
    if (!epoch.isEmpty()) {
      pastEpochs.add(epoch);
    }
    epoch = seen;
  }

  /**
   * Names the homeserver's writers, at the start and in each new epoch. Until then a reply from
   * that epoch counts as a miss.
   */
  void declare() {
    if (writers.isEmpty() || (!declaredIn.isEmpty() && declaredIn.equals(epoch))) {
      return;
    }
    DeclareWritersRequest request =
        DeclareWritersRequest.newBuilder().setHomeserver(homeserver).addAllWriters(writers).build();
    declaredIn =
        hex(
            call(stub -> stub.declareWriters(request), DeclareWritersResponse::getPosition)
                .getPosition());
    System.out.println("declared " + String.join(",", writers) + " in " + declaredIn);
  }

  /**
   * What a lookup found. The position is from before it: what is missing is read from the database
   * after it.
   */
  record Lookup(List<CachedEvent> hits, List<String> missing, int truncated, Position position) {}

  Lookup get(RedactionView view, List<String> eventIds) {
    List<CachedEvent> hits = new ArrayList<>();
    List<String> missing = new ArrayList<>();
    GetEventsResponse first = null;
    List<String> wanted = eventIds;
    do {
      GetEventsRequest request =
          GetEventsRequest.newBuilder()
              .setHomeserver(homeserver)
              .addAllEventIds(wanted)
              .setRedactionView(view)
              .build();
      GetEventsResponse reply =
          call(stub -> stub.getEvents(request), GetEventsResponse::getPosition);
      hits.addAll(reply.getEventsList());
      missing.addAll(reply.getMissingEventIdsList());
      first = first == null ? reply : first;
      // What did not fit into the reply is asked for again.
      wanted = reply.getTruncatedEventIdsList();
    } while (!wanted.isEmpty());
    return new Lookup(hits, missing, first.getTruncatedEventIdsCount(), first.getPosition());
  }

  /** Puts what the database showed after asOf. A request has at most 4 MiB. */
  List<PutOutcome> put(Position asOf, List<CachedEvent> events) {
    List<PutOutcome> outcomes = new ArrayList<>();
    for (int start = 0; start < events.size(); ) {
      int size = 0;
      int end = start;
      while (end < events.size()
          && end - start < EVENTS_MAX
          && (end == start || size + events.get(end).getSerializedSize() < REQUEST_BYTES_MAX)) {
        size += events.get(end++).getSerializedSize() + 8;
      }
      PutEventsRequest request =
          PutEventsRequest.newBuilder()
              .setHomeserver(homeserver)
              .setAsOf(asOf)
              .addAllEvents(events.subList(start, end))
              .build();
      outcomes.addAll(
          call(stub -> stub.putEvents(request), PutEventsResponse::getPosition).getOutcomesList());
      start = end;
    }
    return outcomes;
  }

  static String hex(Position position) {
    return HexFormat.of().formatHex(position.getEpoch().toByteArray());
  }

  static String show(Position position) {
    return hex(position) + ":" + Long.toUnsignedString(position.getSequence());
  }

  static String word(Enum<?> value, String prefix) {
    return value.name().substring(prefix.length()).toLowerCase(Locale.ROOT);
  }

  static void pause(long ms) {
    try {
      Thread.sleep(ms);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
