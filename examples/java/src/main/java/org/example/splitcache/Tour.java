package org.example.splitcache;

import com.google.protobuf.Any;
import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import io.github.splitcache.v1.CachedEvent;
import io.github.splitcache.v1.EventCacheServiceGrpc;
import io.github.splitcache.v1.GetEventsRequest;
import io.github.splitcache.v1.Position;
import io.github.splitcache.v1.PurgeHomeserverRequest;
import io.github.splitcache.v1.PurgeRoomRequest;
import io.github.splitcache.v1.PutOutcome;
import io.github.splitcache.v1.Redaction;
import io.github.splitcache.v1.RedactionView;
import io.github.splitcache.v1.SetRedactionRequest;
import io.github.splitcache.v1.SetRedactionResponse;
import io.github.splitcache.v1.SetRejectedRequest;
import io.github.splitcache.v1.SetRejectedResponse;

/** One pass through the calls. */
final class Tour {
  static final String ROOM = "!room:example.org";
  static final String ONE = "$one:example.org";
  static final String TWO = "$two:example.org";
  private static final String REDACTION = "$redaction:example.org";
  static final RedactionView REDACTED = RedactionView.REDACTION_VIEW_REDACTED;
  private static final RedactionView ORIGINAL = RedactionView.REDACTION_VIEW_ORIGINAL;

  private final Cache cache;

  Tour(Cache cache) {
    this.cache = cache;
  }

  void run() throws InvalidProtocolBufferException {
    cache.warmUp();
    Position before = fill();
    change();
    readLarge();
    // A position from before the purge: what was read then must not be put now.
    PutOutcome outcome = cache.put(before, List.of(message(ONE, "one"))).get(0);
    System.out.println(Cache.word(outcome, "PUT_OUTCOME_") + " " + ONE);
    fail();
    beginEpoch();
    System.out.println("done");
  }

  private Position fill() {
    System.out.println("position " + Cache.show(cache.get(REDACTED, List.of()).position()));
    Cache.Lookup missed = cache.get(REDACTED, List.of(ONE, TWO));
    missed.missing().forEach(eventId -> System.out.println("missing " + eventId));
    // Read the database here, not before; put what it shows with that position.
    List<CachedEvent> events = List.of(message(ONE, "one"), message(TWO, "two"));
    List<PutOutcome> outcomes = cache.put(missed.position(), events);
    for (int i = 0; i < events.size(); i++) {
      System.out.println(Cache.word(outcomes.get(i), "PUT_OUTCOME_") + " " + events.get(i).getEventId());
    }
    for (CachedEvent event : cache.get(REDACTED, List.of(ONE, TWO)).hits()) {
      System.out.println("hit " + event.getEventId() + " " + event.getBody().toStringUtf8());
    }
    return missed.position();
  }

  private void change() {
    SetRedactionRequest redaction =
        SetRedactionRequest.newBuilder()
            .setHomeserver(cache.homeserver)
            .setRoomId(ROOM)
            .setEventId(ONE)
            .setRedaction(Redaction.newBuilder().setRedactedBy(REDACTION))
            .setAsOf(cache.get(REDACTED, List.of()).position())
            .build();
    SetRedactionResponse redacted =
        cache.call(stub -> stub.setRedaction(redaction));
    String outcome = Cache.word(redacted.getOutcome(), "SET_OUTCOME_");
    System.out.println("redacted " + ONE + " by " + REDACTION + ": " + outcome);
    CachedEvent now = cache.get(REDACTED, List.of(ONE)).hits().get(0);
    System.out.println("hit " + ONE + " redacted by " + now.getRedaction().getRedactedBy());
    CachedEvent was = cache.get(ORIGINAL, List.of(ONE)).hits().get(0);
    System.out.println("original " + ONE + " " + was.getBody().toStringUtf8());
    SetRejectedRequest rejection =
        SetRejectedRequest.newBuilder()
            .setHomeserver(cache.homeserver)
            .setRoomId(ROOM)
            .setEventId(TWO)
            .setRejected(true)
            .setAsOf(redacted.getPosition())
            .build();
    SetRejectedResponse rejected =
        cache.call(stub -> stub.setRejected(rejection));
    System.out.println("rejected " + TWO + ": " + Cache.word(rejected.getOutcome(), "SET_OUTCOME_"));
    PurgeRoomRequest purge =
        PurgeRoomRequest.newBuilder().setHomeserver(cache.homeserver).setRoomId(ROOM).build();
    cache.call(stub -> stub.purgeRoom(purge));
    System.out.println("purged " + ROOM);
    for (String eventId : cache.get(REDACTED, List.of(ONE, TWO)).missing()) {
      System.out.println("missing " + eventId);
    }
  }

  private void readLarge() {
    List<CachedEvent> events =
        IntStream.range(0, 20)
            .mapToObj(n -> message("$big" + n + ":example.org", "x".repeat(250_000)))
            .toList();
    List<String> eventIds = events.stream().map(CachedEvent::getEventId).toList();
    cache.put(cache.get(REDACTED, eventIds).position(), events);
    Cache.Lookup found = cache.get(REDACTED, eventIds);
    System.out.printf(
        "truncated %d of %d, asked again: %d hits%n",
        found.truncated(), events.size(), found.hits().size());
  }

  private void fail() throws InvalidProtocolBufferException {
    try {
      cache.get(REDACTED, List.of(""));
    } catch (StatusRuntimeException error) {
      for (Any detail : StatusProto.fromThrowable(error).getDetailsList()) {
        if (detail.is(BadRequest.class)) {
          BadRequest.FieldViolation first = detail.unpack(BadRequest.class).getFieldViolations(0);
          Status.Code code = error.getStatus().getCode();
          System.out.println("refused " + code + " " + first.getField() + ": " + first.getDescription());
        }
      }
    }
    try {
      EventCacheServiceGrpc.newBlockingStub(cache.channel)
          .withDeadlineAfter(-1, TimeUnit.SECONDS)
          .getEvents(GetEventsRequest.newBuilder().setHomeserver(cache.homeserver).build());
    } catch (StatusRuntimeException error) {
      System.out.println("deadline " + error.getStatus().getCode());
    }
  }

  private void beginEpoch() {
    Position before = cache.get(REDACTED, List.of()).position();
    PurgeHomeserverRequest request =
        PurgeHomeserverRequest.newBuilder()
            .setHomeserver(cache.homeserver)
            .setNewEpoch(true)
            .build();
    Position after = cache.call(stub -> stub.purgeHomeserver(request)).getPosition();
    boolean isNew = !after.getEpoch().equals(before.getEpoch());
    System.out.println(isNew ? "new epoch" : "the same epoch");
  }

  static CachedEvent message(String eventId, String text) {
    String body =
        "{\"type\":\"m.room.message\",\"room_id\":\"" + ROOM + "\",\"content\":{\"body\":\"" + text + "\"}}";
    return CachedEvent.newBuilder()
        .setEventId(eventId)
        .setRoomId(ROOM)
        .setRoomVersion("10")
        .setBody(ByteString.copyFromUtf8(body))
        .build();
  }
}
