import * as wire from "../../../src/gen/splitcache/v1/event_cache_service.js";

/** Requests and parts of them, as short as a test wants them. */

export const HOMESERVER = "alpha.example";
export const ROOM_ID = "!room:alpha.example";

export function cachedEvent(eventId: string, changes: Partial<wire.CachedEvent> = {}): wire.CachedEvent {
  const body = Buffer.from(JSON.stringify({ type: "m.room.message", content: { body: eventId } }));
  return wire.CachedEvent.create({ eventId, roomId: ROOM_ID, roomVersion: "10", body, ...changes });
}

export function read(eventIds: readonly string[], changes: Partial<wire.GetEventsRequest> = {}) {
  return wire.GetEventsRequest.create({ homeserver: HOMESERVER, eventIds: [...eventIds], ...changes });
}

export function put(
  events: wire.CachedEvent[],
  asOf: wire.Position | undefined,
  homeserver = HOMESERVER,
): wire.PutEventsRequest {
  return { homeserver, events, asOf };
}
