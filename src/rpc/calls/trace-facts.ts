import { ID_BYTES_MAX } from "../../core/model/limits.js";
import * as wire from "../../gen/splitcache/v1/event_cache_service.js";
import { TRACED_IDS_MAX } from "../limits.js";
import { ReadReply } from "../wire/reply-encoder.js";
import type { TraceFacts } from "./call-trace.js";

/** The requests of unary calls. */
export type UnaryRequest =
  | wire.GetEventsRequest
  | wire.PutEventRequest
  | wire.PutEventsRequest
  | wire.SetRedactionRequest
  | wire.SetRejectedRequest
  | wire.InvalidateEventsRequest
  | wire.PurgeRoomRequest
  | wire.PurgeHomeserverRequest;

/** What a span says of a request whose homeserver may be named. */
export function requestFacts(request: UnaryRequest, showsIds: boolean): TraceFacts {
  const facts = { homeserver: request.homeserver, ...countOf(request) };
  return showsIds ? { ...facts, ...idsOf(request) } : facts;
}

/** What a span says of the reply to a unary call: its outcomes, counted. */
export function replyFacts(method: string, reply: unknown): TraceFacts {
  if (reply instanceof ReadReply) return readFacts(reply);
  // The handlers of these methods return nothing else.
  switch (method) {
    case "PutEvent":
      return putFacts([(reply as wire.PutEventResponse).outcome]);
    case "PutEvents":
      return putFacts((reply as wire.PutEventsResponse).outcomes);
    case "SetRedaction":
    case "SetRejected":
      return { outcome: nameOf(wire.SetOutcome, (reply as wire.SetRedactionResponse).outcome) };
    default:
      return {};
  }
}

/** What a span says of the reply to a read. */
export function readFacts(reply: ReadReply): TraceFacts {
  return { ...reply.counts(), verified: reply.isVerified };
}

function countOf(request: UnaryRequest): TraceFacts {
  if ("eventIds" in request) return { events: request.eventIds.length };
  if ("events" in request) return { events: request.events.length };
  return "event" in request || "eventId" in request ? { events: 1 } : {};
}

/** The IDs of a request as the client sent them. Nothing has checked them, so their number and lengths are bounded. */
function idsOf(request: UnaryRequest): TraceFacts {
  const events = "events" in request ? request.events : "event" in request ? [request.event] : [];
  const eventIds =
    "eventIds" in request
      ? request.eventIds
      : "eventId" in request
        ? [request.eventId]
        : events.map((event) => event?.eventId ?? "");
  const roomIds = "roomId" in request ? [request.roomId] : events.map((event) => event?.roomId ?? "");
  return { event_ids: bounded(eventIds), room_ids: bounded([...new Set(roomIds)]) };
}

function bounded(ids: readonly string[]): string[] {
  return ids.slice(0, TRACED_IDS_MAX).map((id) => id.slice(0, ID_BYTES_MAX));
}

function putFacts(outcomes: readonly wire.PutOutcome[]): TraceFacts {
  const counts: Record<string, number> = {};
  for (const outcome of outcomes) {
    const name = nameOf(wire.PutOutcome, outcome);
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

/** The name of a value of an enum, in lower case. */
function nameOf(values: Readonly<Record<string, number>>, value: number): string {
  const [name = "unknown"] = Object.entries(values).find(([, number]) => number === value) ?? [];
  return name.toLowerCase();
}
