import type { Change } from "../../../src/core/types.js";
import { eventId, ROOM } from "../../support/store-harness.js";

export const invalidated = (...ids: string[]): Change => ({
  kind: "invalidated",
  roomId: undefined,
  eventIds: ids.map(eventId),
});
export const redacted = (id: string, by = "$r"): Change => ({
  kind: "redacted",
  roomId: ROOM,
  eventId: eventId(id),
  redactedBy: eventId(by),
});
export const rejected = (id: string): Change => ({
  kind: "rejected",
  roomId: ROOM,
  eventId: eventId(id),
  rejected: true,
});
export const roomPurged = (room = ROOM): Change => ({ kind: "roomPurged", roomId: room });
export const homeserverPurged: Change = { kind: "homeserverPurged" };
