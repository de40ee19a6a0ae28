import { type CallOptions, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import * as wire from "../../src/gen/splitcache/v1/event_cache_service.js";
import type { Findings } from "./report.js";

const HOMESERVER = "honest.example";
const ROOM_ID = "!room:honest.example";
/** Ample, on a busy machine too: a call that takes longer counts as unanswered. */
const DEADLINE_MS = 60_000;

/**
 * A quiet client beside the attack, which has a homeserver of its own and does one
 * thing after the other: each of its calls must be answered, at the first try, and
 * as if it were alone.
 */
export class HonestClient {
  readonly #client: wire.EventCacheServiceClient;
  readonly #findings: Findings;
  rounds = 0;
  slowestMs = 0;

  constructor(port: number, findings: Findings) {
    const options = {
      "grpc.use_local_subchannel_pool": 1,
      "grpc.enable_http_proxy": 0,
      "grpc.enable_retries": 0,
    };
    this.#client = new wire.EventCacheServiceClient(
      `127.0.0.1:${port}`,
      credentials.createInsecure(),
      options,
    );
    this.#findings = findings;
  }

  close(): void {
    this.#client.close();
  }

  /** Puts, reads, redacts and purges an event, and compares what it reads. */
  async round(): Promise<void> {
    try {
      await this.#round(`$honest-${this.rounds}`);
    } catch (error) {
      this.#findings.fault(`the honest client: ${(error as ServiceError).message}`);
    }
    this.rounds += 1;
  }

  async #round(eventId: string): Promise<void> {
    const { position: asOf } = await this.#read([]);
    const original = Buffer.from(
      JSON.stringify({ type: "m.room.message", content: { body: `secret ${eventId}` } }),
    );
    const event = wire.CachedEvent.create({ eventId, roomId: ROOM_ID, roomVersion: "10", body: original });
    const put = await this.#call<wire.PutEventsResponse>((options, done) =>
      this.#client.putEvents({ homeserver: HOMESERVER, events: [event], asOf }, NONE, options, done),
    );
    this.#expect("the outcome of a put", put.outcomes[0], wire.PutOutcome.STORED);
    const stored = await this.#read([eventId]);
    // Under an attack an entry may be evicted at any time: a miss is never wrong.
    if (stored.events[0] !== undefined) {
      this.#expect("a body", stored.events[0].body.toString(), original.toString());
    }
    await this.#call<wire.SetRedactionResponse>((options, done) => {
      const redaction = { redactedBy: "$redaction", redactedBody: Buffer.alloc(0) };
      const request = { homeserver: HOMESERVER, roomId: ROOM_ID, eventId, redaction, asOf: put.position };
      return this.#client.setRedaction(request, NONE, options, done);
    });
    const redacted = await this.#read([eventId]);
    const text = redacted.events[0]?.body.toString() ?? "";
    this.#expect("whether a redacted event shows its original", text.includes("secret"), false);
    await this.#call<wire.PurgeRoomResponse>((options, done) =>
      this.#client.purgeRoom({ homeserver: HOMESERVER, roomId: ROOM_ID }, NONE, options, done),
    );
    this.#expect("the number of hits in a purged room", (await this.#read([eventId])).events.length, 0);
  }

  #read(eventIds: string[]): Promise<wire.GetEventsResponse> {
    const request = wire.GetEventsRequest.create({ homeserver: HOMESERVER, eventIds });
    return this.#call((options, done) => this.#client.getEvents(request, NONE, options, done));
  }

  async #call<Reply>(start: (options: CallOptions, done: Done<Reply>) => unknown): Promise<Reply> {
    const startedAt = performance.now();
    const reply = await new Promise<Reply>((resolve, reject) =>
      start({ deadline: Date.now() + DEADLINE_MS }, (error, reply) =>
        error ? reject(error) : resolve(reply),
      ),
    );
    this.slowestMs = Math.max(this.slowestMs, performance.now() - startedAt);
    return reply;
  }

  #expect(what: string, is: unknown, wanted: unknown): void {
    if (is !== wanted) this.#findings.fault(`the honest client: ${what} is ${is}, not ${wanted}`);
  }
}

type Done<Reply> = (error: ServiceError | null, reply: Reply) => void;

const NONE = new Metadata();
