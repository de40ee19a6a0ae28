import { Server, ServerCredentials, status } from "@grpc/grpc-js";
import { HealthImplementation } from "grpc-health-check";
import {
  type CachedEvent,
  type EventCacheServiceServer,
  EventCacheServiceService,
  type GetEventsRequest,
  type GetEventsResponse,
  type Position,
  PutOutcome,
  RedactionView,
  SetOutcome,
} from "../../../src/gen/splitcache/v1/event_cache_service.js";

/**
 * The least that the command line can be tried against: one homeserver, no
 * fence, no limits, a log that only counts. `faults` makes it wrong on purpose.
 */
export interface FakeSidecar {
  readonly address: string;
  readonly health: HealthImplementation;
  stop(): void;
}

export interface FakeFaults {
  /** Announcements leave the entries as they are. */
  readonly forgetsInvalidations?: boolean;
  /** Reads never hit. */
  readonly losesEverything?: boolean;
}

export async function startFakeSidecar(
  overrides: Partial<EventCacheServiceServer> = {},
  faults: FakeFaults = {},
): Promise<FakeSidecar> {
  const server = new Server();
  const health = new HealthImplementation({ "": "SERVING" });
  health.addToServer(server);
  server.addService(EventCacheServiceService, Object.assign(naiveService(faults), overrides));
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  return { address: `127.0.0.1:${port}`, health, stop: () => server.forceShutdown() };
}

function naiveService(faults: FakeFaults): EventCacheServiceServer {
  const entries = new Map<string, CachedEvent>();
  const epoch = Buffer.alloc(16, 7);
  let sequence = 0n;
  const position = (): Position => ({ epoch, sequence });
  const change = (drop: () => void) => {
    sequence += 1n;
    if (faults.forgetsInvalidations !== true) drop();
    return { position: position() };
  };
  const put = (event: CachedEvent) => {
    if (faults.losesEverything !== true) entries.set(event.eventId, event);
    return PutOutcome.STORED;
  };
  const read = (request: GetEventsRequest): GetEventsResponse => ({
    events: request.eventIds.flatMap((id) => shown(entries.get(id), request.redactionView) ?? []),
    missingEventIds: request.eventIds.filter((id) => !entries.has(id)),
    truncatedEventIds: [],
    position: position(),
  });
  const set = (eventId: string, written: Partial<CachedEvent>) => {
    const entry = entries.get(eventId);
    const { position } = change(() => entry && entries.set(eventId, { ...entry, ...written }));
    return { outcome: entry === undefined ? SetOutcome.ABSENT : SetOutcome.APPLIED, position };
  };
  const unimplemented = { code: status.UNIMPLEMENTED, details: "not in the naive sidecar" };
  return {
    getEvents: (call, reply) => reply(null, read(call.request)),
    getEventsStream: (call) => {
      call.on("data", ({ requestId, request }) =>
        call.write({ requestId, result: { $case: "response", value: read(request) } }),
      );
      call.on("end", () => call.end());
    },
    putEvent: (call, reply) => reply(null, { outcome: put(call.request.event!), position: position() }),
    putEvents: (call, reply) => reply(null, { outcomes: call.request.events.map(put), position: position() }),
    setRedaction: (call, reply) =>
      reply(null, set(call.request.eventId, { redaction: call.request.redaction })),
    setRejected: ({ request: { eventId, rejected, rejectedReason } }, reply) =>
      reply(null, set(eventId, { rejected, rejectedReason })),
    invalidateEvents: (call, reply) =>
      reply(
        null,
        change(() => {
          for (const eventId of call.request.eventIds) entries.delete(eventId);
        }),
      ),
    purgeRoom: (call, reply) =>
      reply(
        null,
        change(() => {
          for (const entry of entries.values()) {
            if (entry.roomId === call.request.roomId) entries.delete(entry.eventId);
          }
        }),
      ),
    purgeHomeserver: (_call, reply) =>
      reply(
        null,
        change(() => entries.clear()),
      ),
    subscribe: (call) => call.emit("error", unimplemented),
  };
}

/** The redacted view needs the redacted body to be given: it makes none. */
function shown(entry: CachedEvent | undefined, view: RedactionView): CachedEvent | undefined {
  if (entry?.redaction === undefined || view === RedactionView.ORIGINAL) return entry;
  const { redactedBy, redactedBody } = entry.redaction;
  return { ...entry, body: redactedBody, redaction: { redactedBy, redactedBody: Buffer.alloc(0) } };
}
