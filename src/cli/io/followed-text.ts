import type { Followed } from "../../client/follow.js";
import { type Notice, ResetReason } from "../../gen/splitcache/v1/event_cache_service.js";
import { describeFailure } from "../client/describe-failure.js";
import { formatPosition, outcomeName } from "./contract-text.js";
import { terminalText } from "./text.js";

/** A line for people; undefined for an item that is not shown. */
export function followedText(followed: Followed, address: string): string | undefined {
  switch (followed.kind) {
    case "ready":
      return `ready at ${formatPosition(followed.position)}${followed.resumed ? ", resumed" : ""}`;
    case "reset": {
      const reason = outcomeName(ResetReason, followed.reason);
      return `RESET (${reason}): drop all cached data, continue from ${formatPosition(followed.position)}`;
    }
    case "notice":
      return terminalText(`#${followed.notice.sequence} ${noticeText(followed.notice)}`);
    case "goingAway":
      return "the sidecar is going away";
    case "disconnected":
      return terminalText(
        `${describeFailure(followed.error, address).message}; retrying in ${Math.round(followed.retryInMs)} ms`,
      );
    case "progress":
      return undefined;
  }
}

/** The same as an object for JSON. */
export function followedObject(followed: Followed): object {
  const position = "position" in followed ? formatPosition(followed.position) : undefined;
  switch (followed.kind) {
    case "ready":
      return { kind: followed.kind, resumed: followed.resumed, position };
    case "reset":
      return { kind: followed.kind, reason: outcomeName(ResetReason, followed.reason), position };
    case "notice":
      return { ...noticeFields(followed.notice), position };
    case "goingAway":
      return { kind: "going_away" };
    default:
      return { kind: followed.kind, position };
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
      return "a change of a kind unknown to this version: drop all cached data";
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
