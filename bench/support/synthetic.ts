import { createHash } from "node:crypto";
import type {
  CachedEvent,
  EventCacheServiceClient,
  Position,
} from "../../src/gen/splitcache/v1/event_cache_service.js";

/** Bytes of bodies as rooms of a real homeserver have them: the mean of each tenth, from small to large. */
export const REAL_BODY_BYTES = [679, 730, 768, 800, 857, 942, 1022, 1161, 1485, 4132];

/** An event ID in the form of room versions 4 and up. */
export function syntheticEventId(n: number): string {
  return `$${createHash("sha256").update(String(n)).digest("base64url")}`;
}

/** An event whose body has `bodyBytes` bytes; 128 events a room. */
export function syntheticEvent(n: number, bodyBytes: number): CachedEvent {
  const text = `{"content":{"body":"${n}","msgtype":"m.text"},"type":"m.room.message","unpadded":"`;
  const body = bodyBytes < text.length + 2 ? "x".repeat(bodyBytes) : `${text.padEnd(bodyBytes - 2, "x")}"}`;
  return {
    eventId: syntheticEventId(n),
    roomId: `!room${n >> 7}:alpha.example`,
    roomVersion: "10",
    body: Buffer.from(body),
    rejected: false,
    rejectedReason: "",
    redaction: undefined,
    internalMetadata: Buffer.from(`{"format_version":1,"stream_ordering":${n},"instance_name":"master"}`),
  };
}

/** The homeserver's position. */
export function positionOf(client: EventCacheServiceClient, homeserver: string): Promise<Position> {
  const request = { homeserver, eventIds: [], redactionView: 0 as const, minPosition: undefined };
  return new Promise((resolve, reject) => {
    client.getEvents(request, (error, reply) => (error ? reject(error) : resolve(reply.position!)));
  });
}

/** Puts events in one call. */
export function putEvents(
  client: EventCacheServiceClient,
  homeserver: string,
  events: CachedEvent[],
  asOf: Position,
): Promise<void> {
  return new Promise((resolve, reject) => {
    client.putEvents({ homeserver, events, asOf }, (error) => (error ? reject(error) : resolve()));
  });
}

/** Puts events with bodies of these sizes in turn, as many a call as fit, one call after another. */
export async function fill(
  client: EventCacheServiceClient,
  homeserver: string,
  count: number,
  bodyBytes: number | readonly number[],
  { firstEvent = 0, afterCall = () => {} }: { firstEvent?: number; afterCall?: () => void } = {},
): Promise<void> {
  const asOf = await positionOf(client, homeserver);
  const sizes = [bodyBytes].flat();
  const mean = sizes.reduce((sum, size) => sum + size, 0) / sizes.length;
  const batch = Math.max(1, Math.min(500, Math.floor(3_500_000 / (mean + 300))));
  for (let from = 0; from < count; from += batch) {
    const events = Array.from({ length: Math.min(batch, count - from) }, (_, at) =>
      syntheticEvent(firstEvent + from + at, sizes[(from + at) % sizes.length]!),
    );
    await putEvents(client, homeserver, events, asOf);
    afterCall();
  }
}
