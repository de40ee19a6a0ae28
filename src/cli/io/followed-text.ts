import { type Notice, ResetReason } from "../../gen/splitcache/v1/event_cache_service.js";
import type { Followed } from "../client/follow.js";
import { outcomeName } from "./outcome-name.js";
import { formatPosition } from "./position-text.js";
import { terminalText } from "./terminal-text.js";

/** A line for people; undefined where there is nothing to tell. */
export function followedText(followed: Followed): string | undefined {
  switch (followed.kind) {
    case "ready":
      return `ready at ${formatPosition(followed.position)}${followed.resumed ? ", resumed" : ""}`;
    case "reset": {
      const reason = outcomeName(ResetReason, followed.reason);
      return `RESET (${reason}): drop everything, go on from ${formatPosition(followed.position)}`;
    }
    case "notice":
      return terminalText(`#${followed.notice.sequence} ${noticeText(followed.notice)}`);
    case "goingAway":
      return "the sidecar is going away";
    case "broken":
      return terminalText(`${followed.reason}; again in ${Math.round(followed.retryInMs)} ms`);
    case "progress":
      return undefined;
  }
}

/** The same as one JSON object; undefined where there is nothing to tell. */
export function followedJson(followed: Followed): string | undefined {
  switch (followed.kind) {
    case "ready": {
      const { kind, resumed } = followed;
      return JSON.stringify({ kind, resumed, position: formatPosition(followed.position) });
    }
    case "reset": {
      const reason = outcomeName(ResetReason, followed.reason);
      return JSON.stringify({ kind: followed.kind, reason, position: formatPosition(followed.position) });
    }
    case "notice":
      return JSON.stringify({
        ...noticeFields(followed.notice),
        position: formatPosition(followed.position),
      });
    case "goingAway":
      return JSON.stringify({ kind: "going_away" });
    case "broken":
      return JSON.stringify({ kind: followed.kind, reason: followed.reason });
    case "progress":
      return undefined;
  }
}

function noticeText({ change }: Notice): string {
  const inRoom = (roomId: string) => (roomId === "" ? "" : ` in ${roomId}`);
  switch (change?.$case) {
    case "eventRedacted":
      return `redacted ${change.value.eventId}${inRoom(change.value.roomId)} by ${change.value.redactedBy}`;
    case "eventRejected": {
      const { rejected, eventId, roomId } = change.value;
      return `${rejected ? "rejected" : "no longer rejected"} ${eventId}${inRoom(roomId)}`;
    }
    case "eventsInvalidated":
      return `invalidated ${change.value.eventIds.join(" ")}${inRoom(change.value.roomId)}`;
    case "roomPurged":
      return `room purged ${change.value.roomId}`;
    case "homeserverPurged":
      return "homeserver purged";
    default:
      return "a change that this version does not know: drop everything";
  }
}

function noticeFields({ change }: Notice): Record<string, unknown> {
  switch (change?.$case) {
    case "eventRedacted": {
      const { roomId, eventId, redactedBy } = change.value;
      return { kind: "event_redacted", room_id: roomId, event_id: eventId, redacted_by: redactedBy };
    }
    case "eventRejected": {
      const { roomId, eventId, rejected } = change.value;
      return { kind: "event_rejected", room_id: roomId, event_id: eventId, rejected };
    }
    case "eventsInvalidated": {
      const { roomId, eventIds } = change.value;
      return { kind: "events_invalidated", room_id: roomId, event_ids: eventIds };
    }
    case "roomPurged":
      return { kind: "room_purged", room_id: change.value.roomId };
    case "homeserverPurged":
      return { kind: "homeserver_purged" };
    default:
      return { kind: "unknown" };
  }
}
