package org.example.splitcache;

import java.util.List;
import io.github.splitcache.v1.Notice;
import io.github.splitcache.v1.Position;
import io.github.splitcache.v1.SubscribeResponse;

/** The listener of a client that keeps nothing and has no database, such as a bot. */
final class Printer implements Follower.Listener {
  private final Epochs epochs = new Epochs();

  @Override
  public void began(SubscribeResponse frame, Position position) {
    epochs.see(position);
    if (frame.hasReady()) {
      boolean resumed = frame.getReady().getResumed();
      System.out.println("ready " + Cache.show(position) + " resumed=" + resumed);
    } else {
      String reason = Cache.word(frame.getReset().getReason(), "RESET_REASON_");
      System.out.println("reset " + Cache.show(position) + " " + reason);
    }
  }

  @Override
  public void changed(Notice notice) {
    System.out.println("notice " + notice.getSequence() + " " + describe(notice));
  }

  @Override
  public void applied(Position position) {
    epochs.see(position);
  }

  @Override
  public void goingAway() {
    System.out.println("going away");
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
      // A change that this client does not know may be of everything.
      default -> "homeserver_purged";
    };
  }

  private static String words(String kind, String roomId, String... more) {
    return kind + " " + (roomId.isEmpty() ? "-" : roomId) + " " + String.join(" ", more);
  }
}
