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
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import io.github.splitcache.v1.CachedEvent;
import io.github.splitcache.v1.EventCacheServiceGrpc;
import io.github.splitcache.v1.EventCacheServiceGrpc.EventCacheServiceBlockingStub;
import io.github.splitcache.v1.GetEventsRequest;
import io.github.splitcache.v1.GetEventsResponse;
import io.github.splitcache.v1.Position;
import io.github.splitcache.v1.PutEventsRequest;
import io.github.splitcache.v1.PutOutcome;
import io.github.splitcache.v1.RedactionView;

/** The calls, with what each client has to do about them. */
final class Cache implements AutoCloseable {
  // Every call has a deadline: a cache that does not answer must not delay its user.
  static final long DEADLINE_MS = 1_000;
  private static final long FIRST_DEADLINE_MS = 10_000;
  private static final int ATTEMPTS = 5;
  private static final int REQUEST_BYTES_MAX = 4_000_000;
  static final int EVENTS_MAX = 500;

  final String homeserver;
  final ManagedChannel channel;
  private final EventLoopGroup loop;

  Cache(String address, String homeserver) {
    this.homeserver = homeserver;
    if (address.startsWith("unix:")) {
      loop = new EpollEventLoopGroup(1);
      channel =
          NettyChannelBuilder.forAddress(new DomainSocketAddress(address.substring("unix:".length())))
              .eventLoopGroup(loop)
              .channelType(EpollDomainSocketChannel.class)
              // Unix sockets do not have this option.
              .withOption(ChannelOption.SO_KEEPALIVE, null)
              // A path is not the name of a host.
              .overrideAuthority("localhost")
              .usePlaintext()
              .build();
    } else {
      loop = null;
      // A sidecar is near: do not use the proxy that the environment names.
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

  /** Makes one call. Each may be repeated: at worst a repeat turns a hit into a miss. */
  <R> R call(Function<EventCacheServiceBlockingStub, R> method) {
    for (int attempt = 1; ; attempt++) {
      try {
        return callOnce(DEADLINE_MS, method);
      } catch (StatusRuntimeException error) {
        if (error.getStatus().getCode() != Status.Code.UNAVAILABLE || attempt == ATTEMPTS) {
          throw error;
        }
        pause(25L << attempt);
      }
    }
  }

  <R> R callOnce(long deadlineMs, Function<EventCacheServiceBlockingStub, R> method) {
    return method.apply(
        EventCacheServiceGrpc.newBlockingStub(channel)
            .withDeadlineAfter(deadlineMs, TimeUnit.MILLISECONDS));
  }

  /** The first call also loads classes and connects: make it before anybody waits for an answer. */
  void warmUp() {
    try {
      callOnce(FIRST_DEADLINE_MS, stub -> stub.getEvents(positionRequest()));
    } catch (StatusRuntimeException error) {
      // Later calls will say what is wrong.
    }
  }

  GetEventsRequest positionRequest() {
    return GetEventsRequest.newBuilder().setHomeserver(homeserver).build();
  }

  /**
   * What a lookup found. The position is from before it: read the database after it, and fill with
   * it. Null: fill nothing.
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
      GetEventsResponse reply = call(stub -> stub.getEvents(request));
      first = first == null ? reply : first;
      if (!reply.getPosition().getEpoch().equals(first.getPosition().getEpoch())) {
        // One lookup is of one epoch.
        missing.addAll(wanted);
        break;
      }
      hits.addAll(reply.getEventsList());
      missing.addAll(reply.getMissingEventIdsList());
      // Ask again for what did not fit into the reply.
      wanted = reply.getTruncatedEventIdsList();
    } while (!wanted.isEmpty());
    // A sidecar that is unverified gives no position: then there is nothing to fill with.
    Position position = first.hasPosition() ? first.getPosition() : null;
    return new Lookup(hits, missing, first.getTruncatedEventIdsCount(), position);
  }

  /**
   * Puts what the database showed after asOf, split by number and by bytes: a request has at most
   * 500 events and 4 MiB.
   */
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
      outcomes.addAll(call(stub -> stub.putEvents(request)).getOutcomesList());
      start = end;
    }
    return outcomes;
  }

  /** The epoch in hexadecimal, as the database has it. */
  static String epochOf(Position position) {
    return HexFormat.of().formatHex(position.getEpoch().toByteArray());
  }

  static String show(Position position) {
    return epochOf(position) + ":" + Long.toUnsignedString(position.getSequence());
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
