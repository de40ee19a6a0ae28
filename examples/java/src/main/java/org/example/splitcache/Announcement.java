package org.example.splitcache;

import com.google.gson.Gson;
import com.google.gson.JsonParseException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import io.github.splitcache.v1.EventCacheServiceGrpc.EventCacheServiceBlockingStub;
import io.github.splitcache.v1.InvalidateEventsRequest;
import io.github.splitcache.v1.Position;
import io.github.splitcache.v1.PurgeHomeserverRequest;
import io.github.splitcache.v1.PurgeRoomRequest;

/** What a row of the outbox says. */
final class Announcement {
  private static final int VERSION = 1;
  private static final Gson GSON = new Gson();

  private int version = VERSION;
  private boolean homeserver;
  private List<String> rooms = List.of();
  private Map<String, List<String>> events = Map.of();

  static Announcement eventsChanged(String roomId, List<String> eventIds) {
    Announcement announcement = new Announcement();
    announcement.events = Map.of(roomId, eventIds);
    return announcement;
  }

  static Announcement parse(String text) {
    Announcement announcement = null;
    try {
      announcement = GSON.fromJson(text, Announcement.class);
    } catch (JsonParseException error) {
      // What cannot be read may concern everything, like what a later version says.
    }
    if (announcement == null
        || announcement.version != VERSION
        || announcement.rooms == null
        || announcement.events == null) {
      announcement = new Announcement();
      announcement.homeserver = true;
    }
    return announcement;
  }

  String text() {
    return GSON.toJson(this);
  }

  /** The calls that announce it. */
  List<Function<EventCacheServiceBlockingStub, Position>> calls(String name) {
    if (homeserver) {
      return List.of(purge(name, false));
    }
    List<Function<EventCacheServiceBlockingStub, Position>> calls = new ArrayList<>();
    for (String roomId : rooms) {
      PurgeRoomRequest request =
          PurgeRoomRequest.newBuilder().setHomeserver(name).setRoomId(roomId).build();
      calls.add(stub -> stub.purgeRoom(request).getPosition());
    }
    events.forEach(
        (roomId, eventIds) -> {
          for (int start = 0; start < eventIds.size(); start += Cache.EVENTS_MAX) {
            int end = Math.min(start + Cache.EVENTS_MAX, eventIds.size());
            InvalidateEventsRequest request =
                InvalidateEventsRequest.newBuilder()
                    .setHomeserver(name)
                    .setRoomId(roomId)
                    .addAllEventIds(eventIds.subList(start, end))
                    .build();
            calls.add(stub -> stub.invalidateEvents(request).getPosition());
          }
        });
    return calls;
  }

  static Function<EventCacheServiceBlockingStub, Position> purge(String name, boolean newEpoch) {
    PurgeHomeserverRequest request =
        PurgeHomeserverRequest.newBuilder().setHomeserver(name).setNewEpoch(newEpoch).build();
    return stub -> stub.purgeHomeserver(request).getPosition();
  }
}
