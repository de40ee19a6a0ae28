import { BATCH_MAX, NAME_BYTES_MAX, REJECTED_REASON_BYTES_MAX } from "../../core/model/limits.js";
import type {
  PutRequest,
  ReadRequest,
  SetRedactionRequest,
  SetRejectedRequest,
} from "../../core/model/store.js";
import type {
  EventId,
  Homeserver,
  Position,
  Redaction,
  RedactionView,
  RoomId,
} from "../../core/model/types.js";
import * as wire from "../../gen/splitcache/v1/event_cache_service.js";
import { fromCachedEvent, fromRedaction } from "./event.js";
import type { RequestCheck } from "./request-check.js";
import { countProblem, textProblem } from "./request-check.js";

/** Converts requests to the core's form. Each function is for `checked`, which throws if there is a violation. */

export function fromGetEvents(check: RequestCheck, request: wire.GetEventsRequest): ReadRequest {
  return {
    homeserver: check.homeserver(request.homeserver),
    eventIds: check.eventIds("event_ids", request.eventIds),
    view: fromRedactionView(check, request.redactionView),
    minPosition: check.optionalPosition("min_position", request.minPosition),
  };
}

export function fromPutEvent(check: RequestCheck, request: wire.PutEventRequest): PutRequest {
  const { event } = request;
  if (event === undefined) check.note("event", "is required");
  return {
    homeserver: check.homeserver(request.homeserver),
    events: event === undefined ? [] : [fromCachedEvent(check, "event", event)],
    asOf: check.position("as_of", request.asOf),
  };
}

export function fromPutEvents(check: RequestCheck, request: wire.PutEventsRequest): PutRequest {
  check.note("events", countProblem(request.events.length, BATCH_MAX, "elements"));
  return {
    homeserver: check.homeserver(request.homeserver),
    events: request.events
      .slice(0, BATCH_MAX)
      .map((event, index) => fromCachedEvent(check, `events[${index}]`, event)),
    asOf: check.position("as_of", request.asOf),
  };
}

export function fromSetRedaction(
  check: RequestCheck,
  request: wire.SetRedactionRequest,
): SetRedactionRequest {
  if (request.redaction === undefined) check.note("redaction", "is required");
  return {
    homeserver: check.homeserver(request.homeserver),
    roomId: check.optionalRoomId("room_id", request.roomId),
    eventId: check.eventId("event_id", request.eventId),
    redaction:
      request.redaction === undefined ? NO_REDACTION : fromRedaction(check, "redaction", request.redaction),
    asOf: check.optionalPosition("as_of", request.asOf),
  };
}

export function fromSetRejected(check: RequestCheck, request: wire.SetRejectedRequest): SetRejectedRequest {
  check.note("rejected_reason", textProblem(request.rejectedReason, REJECTED_REASON_BYTES_MAX));
  return {
    homeserver: check.homeserver(request.homeserver),
    roomId: check.optionalRoomId("room_id", request.roomId),
    eventId: check.eventId("event_id", request.eventId),
    rejected: request.rejected,
    rejectedReason: request.rejectedReason,
    asOf: check.optionalPosition("as_of", request.asOf),
  };
}

export interface InvalidateEvents {
  readonly homeserver: Homeserver;
  readonly roomId: RoomId | undefined;
  readonly eventIds: readonly EventId[];
}

export function fromInvalidateEvents(
  check: RequestCheck,
  request: wire.InvalidateEventsRequest,
): InvalidateEvents {
  if (request.eventIds.length === 0) check.note("event_ids", "is required");
  return {
    homeserver: check.homeserver(request.homeserver),
    roomId: check.optionalRoomId("room_id", request.roomId),
    eventIds: check.eventIds("event_ids", request.eventIds),
  };
}

export interface PurgeRoom {
  readonly homeserver: Homeserver;
  readonly roomId: RoomId;
}

export function fromPurgeRoom(check: RequestCheck, request: wire.PurgeRoomRequest): PurgeRoom {
  return {
    homeserver: check.homeserver(request.homeserver),
    roomId: check.roomId("room_id", request.roomId),
  };
}

export interface PurgeHomeserver {
  readonly homeserver: Homeserver;
  readonly newEpoch: boolean;
}

export function fromPurgeHomeserver(
  check: RequestCheck,
  request: wire.PurgeHomeserverRequest,
): PurgeHomeserver {
  return { homeserver: check.homeserver(request.homeserver), newEpoch: request.newEpoch };
}

export interface Subscribe {
  readonly homeserver: Homeserver;
  readonly resumeAfter: Position | undefined;
  readonly subscriber: string;
}

export function fromSubscribe(check: RequestCheck, request: wire.SubscribeRequest): Subscribe {
  check.note("subscriber", textProblem(request.subscriber, NAME_BYTES_MAX));
  return {
    homeserver: check.homeserver(request.homeserver),
    resumeAfter: check.optionalPosition("resume_after", request.resumeAfter),
    subscriber: request.subscriber,
  };
}

function fromRedactionView(check: RequestCheck, view: number): RedactionView {
  switch (view) {
    case wire.RedactionView.UNSPECIFIED:
    case wire.RedactionView.REDACTED:
      return "redacted";
    case wire.RedactionView.ORIGINAL:
      return "original";
    default:
      check.note("redaction_view", "is not a value of RedactionView");
      return "redacted";
  }
}

/** The placeholder of a missing required redaction, until the request is refused. */
const NO_REDACTION: Redaction = { redactedBy: "" as EventId, redactedBody: undefined };
