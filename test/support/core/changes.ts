import type { Batch, Change, Position } from "../../../src/core/model/types.js";
import { type Notice, SubscribeResponse } from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { eventId, ROOM } from "../store/store-harness.js";

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

/** What a batch takes on the wire, as the generated encoder makes it. */
export function wireBytes({ from, to, notices }: Batch): number {
  const value = {
    fromExclusive: wirePosition(from),
    toInclusive: wirePosition(to),
    notices: notices.map(({ sequence, change }) => ({
      sequence: BigInt(sequence),
      change: wireChange(change),
    })),
  };
  return SubscribeResponse.encode({ frame: { $case: "batch", value } }).finish().byteLength;
}

function wirePosition({ epoch, sequence }: Position) {
  return { epoch: Buffer.from(epoch, "hex"), sequence: BigInt(sequence) };
}

function wireChange(change: Change): Notice["change"] {
  switch (change.kind) {
    case "redacted":
      return { $case: "eventRedacted", value: { ...change, roomId: change.roomId ?? "" } };
    case "rejected":
      return { $case: "eventRejected", value: { ...change, roomId: change.roomId ?? "" } };
    case "invalidated":
      return {
        $case: "eventsInvalidated",
        value: { roomId: change.roomId ?? "", eventIds: [...change.eventIds] },
      };
    case "roomPurged":
      return { $case: "roomPurged", value: { roomId: change.roomId } };
    case "homeserverPurged":
      return { $case: "homeserverPurged", value: {} };
  }
}
