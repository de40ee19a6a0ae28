import type {
  Change,
  Epoch,
  EventId,
  NewEvent,
  Notice,
  Position,
  PutOutcome,
  Redaction,
  RedactionView,
  ResetReason,
  RoomId,
  SetOutcome,
  SubscriptionFrame,
} from "../../../../src/core/model/types.js";
import * as pb from "../../../../src/gen/splitcache/v1/event_cache_service.js";
import type { SeenEvent } from "../oracle/event-facts.js";
import { SidecarLost } from "../runs/scheduler.js";

/** Converts the terms of the contract to terms of the tests, and back; written apart from the server's own. */

export function toWirePosition(position: Position | undefined): pb.Position | undefined {
  return position && { epoch: Buffer.from(position.epoch, "hex"), sequence: BigInt(position.sequence) };
}

export function fromWirePosition(position: pb.Position | undefined): Position {
  if (position === undefined) throw new SidecarLost("it is unverified");
  return { epoch: position.epoch.toString("hex") as Epoch, sequence: Number(position.sequence) };
}

export function toWireEvent({ redaction, body, internalMetadata, ...event }: NewEvent): pb.CachedEvent {
  return {
    ...event,
    body: Buffer.from(body),
    internalMetadata: Buffer.from(internalMetadata),
    redaction: redaction && toWireRedaction(redaction),
  };
}

export function toWireRedaction({ redactedBy, redactedBody }: Redaction): pb.Redaction {
  return { redactedBy, redactedBody: Buffer.from(redactedBody ?? []) };
}

export const WIRE_VIEWS = {
  redacted: pb.RedactionView.REDACTED,
  original: pb.RedactionView.ORIGINAL,
} satisfies Record<RedactionView, pb.RedactionView>;

/** One entry a requested ID: hits come in the order of the request, what is missing has no place among them. */
export function seenInReply(
  reply: pb.GetEventsResponse,
  requested: readonly string[],
): (SeenEvent | undefined)[] {
  const missing = new Set(reply.missingEventIds);
  const hits = reply.events.values();
  const seen = requested.map((eventId) => {
    if (missing.has(eventId)) return undefined;
    const event = hits.next().value;
    if (event?.eventId !== eventId) throw new Error(`${event?.eventId} where ${eventId} was asked for`);
    return seenEvent(event);
  });
  if (hits.next().done !== true || reply.truncatedEventIds.length > 0)
    throw new Error("a reply with too much");
  return seen;
}

function seenEvent({
  redaction,
  body,
  rejected,
  rejectedReason,
  internalMetadata,
  ...event
}: pb.CachedEvent): SeenEvent {
  const redactedBody = redaction?.redactedBody.toString();
  return {
    eventId: event.eventId,
    roomId: event.roomId,
    roomVersion: event.roomVersion,
    body: body.toString(),
    rejection: rejected ? rejectedReason : undefined,
    redactedBy: redaction?.redactedBy,
    redactedBody: redactedBody === "" ? undefined : redactedBody,
    internalMetadata: internalMetadata.toString(),
  };
}

export function fromWireOutcome(outcome: pb.PutOutcome): PutOutcome {
  return named(outcome, { 1: "stored", 2: "fenced", 3: "tooOld", 4: "wrongEpoch", 5: "unverified" });
}

export function fromWireSetOutcome(outcome: pb.SetOutcome): SetOutcome {
  return named(outcome, { 1: "applied", 2: "dropped", 3: "absent" });
}

/** A frame of a subscription; undefined for the frame GoingAway. */
export function fromWireFrame({ frame }: pb.SubscribeResponse): SubscriptionFrame | undefined {
  switch (frame?.$case) {
    case "ready":
      return {
        kind: "ready",
        position: fromWirePosition(frame.value.position),
        resumed: frame.value.resumed,
      };
    case "reset": {
      const reason = named<ResetReason>(frame.value.reason, { 1: "wrongEpoch", 2: "tooOld" });
      return { kind: "reset", position: fromWirePosition(frame.value.position), reason };
    }
    case "batch":
      return {
        kind: "batch",
        from: fromWirePosition(frame.value.fromExclusive),
        to: fromWirePosition(frame.value.toInclusive),
        notices: frame.value.notices.map(fromWireNotice),
      };
    case "progress":
      return { kind: "progress", position: fromWirePosition(frame.value.position) };
    default:
      return undefined;
  }
}

function fromWireNotice({ sequence, change }: pb.Notice): Notice {
  if (change === undefined) throw new Error("a notice of nothing");
  return { sequence: Number(sequence), change: fromWireChange(change) };
}

function fromWireChange(change: NonNullable<pb.Notice["change"]>): Change {
  const event = (one: { readonly eventId: string; readonly roomId: string }) => ({
    roomId: roomOrNone(one.roomId),
    eventId: one.eventId as EventId,
  });
  switch (change.$case) {
    case "eventRedacted":
      return { kind: "redacted", ...event(change.value), redactedBy: change.value.redactedBy as EventId };
    case "eventRejected":
      return { kind: "rejected", ...event(change.value), rejected: change.value.rejected };
    case "eventsInvalidated": {
      const { roomId, eventIds } = change.value;
      return {
        kind: "invalidated",
        roomId: roomOrNone(roomId),
        eventIds: eventIds.map((one) => one as EventId),
      };
    }
    case "roomPurged":
      return { kind: "roomPurged", roomId: change.value.roomId as RoomId };
    case "homeserverPurged":
      return { kind: "homeserverPurged" };
  }
}

function roomOrNone(roomId: string): RoomId | undefined {
  return roomId === "" ? undefined : (roomId as RoomId);
}

function named<Name extends string>(value: number, names: Readonly<Record<number, Name>>): Name {
  const name = names[value];
  if (name === undefined) throw new Error(`a reply has no meaning: ${value}`);
  return name;
}
