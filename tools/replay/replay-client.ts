import type { SidecarConnection } from "../../src/cli/client/connection.js";
import { CliError, ExitCode } from "../../src/cli/exit-code.js";
import { chunks, putBatches } from "../../src/client/events.js";
import { ReadStream } from "../../src/client/read-stream.js";
import { BATCH_MAX } from "../../src/core/model/limits.js";
import {
  type CachedEvent,
  EventCacheServiceService as Calls,
  type GetEventsResponse,
  type Position,
  type PutOutcome,
  type RedactionView,
  type SetOutcome,
} from "../../src/gen/splitcache/v1/event_cache_service.js";
import { Latencies } from "./latencies.js";
import type { Effect } from "./trace-database.js";

/** An effect that must be announced. A put need not be. */
export type Announcement = Exclude<Effect, { kind: "persisted" }>;

/** The calls of a replay. Each is timed. Keeps the position of the last reply. */
export class ReplayClient {
  readonly latencies = new Latencies();
  readonly #connection: SidecarConnection;
  readonly #homeserver: string;
  #reads: ReadStream;
  #release: () => void = () => undefined;
  #position: Position | undefined;

  constructor(connection: SidecarConnection, homeserver: string) {
    this.#connection = connection;
    this.#homeserver = homeserver;
    this.#reads = this.#newStream();
  }

  /** The position of the last reply: the as_of of rows that are read from the database now. */
  get position(): Position {
    if (this.#position === undefined) throw new CliError(ExitCode.failure, "a reply has no position");
    return this.#position;
  }

  /** Purges all cached data of the homeserver. */
  async purgeHomeserver(): Promise<void> {
    const request = { homeserver: this.#homeserver, newEpoch: false };
    this.#saw(await this.#connection.call(Calls.purgeHomeserver, request));
  }

  async read(eventIds: string[], redactionView: RedactionView): Promise<GetEventsResponse> {
    const homeserver = this.#homeserver;
    const request = { homeserver, eventIds, redactionView, minPosition: undefined };
    return this.#saw(await this.latencies.time("GetEventsStream", () => this.#reads.read(request)));
  }

  /** Puts events in as many calls as needed. Returns one outcome per event, in order. */
  async put(events: readonly CachedEvent[], asOf: Position): Promise<PutOutcome[]> {
    const outcomes: PutOutcome[] = [];
    for (const batch of putBatches(events)) {
      const request = { homeserver: this.#homeserver, events: batch, asOf };
      const call = () => this.#connection.call(Calls.putEvents, request);
      outcomes.push(...this.#saw(await this.latencies.time("PutEvents", call)).outcomes);
    }
    return outcomes;
  }

  /** Announces a change. Returns the outcome, if the call has one. */
  async announce(effect: Announcement, asOf: Position): Promise<SetOutcome | undefined> {
    const { roomId } = effect;
    const homeserver = this.#homeserver;
    switch (effect.kind) {
      case "redacted": {
        const { eventId, redaction } = effect;
        const request = { homeserver, roomId, eventId, redaction, asOf };
        const call = () => this.#connection.call(Calls.setRedaction, request);
        return this.#saw(await this.latencies.time("SetRedaction", call)).outcome;
      }
      case "rejected": {
        const { eventId, reason } = effect;
        const state = { rejected: reason !== undefined, rejectedReason: reason ?? "" };
        const request = { homeserver, roomId, eventId, ...state, asOf };
        const call = () => this.#connection.call(Calls.setRejected, request);
        return this.#saw(await this.latencies.time("SetRejected", call)).outcome;
      }
      case "invalidated":
        for (const eventIds of chunks(effect.eventIds, BATCH_MAX)) {
          const call = () => this.#connection.call(Calls.invalidateEvents, { homeserver, roomId, eventIds });
          this.#saw(await this.latencies.time("InvalidateEvents", call));
        }
        return undefined;
      case "roomPurged": {
        const call = () => this.#connection.call(Calls.purgeRoom, { homeserver, roomId });
        this.#saw(await this.latencies.time("PurgeRoom", call));
        return undefined;
      }
    }
  }

  /** Opens a new read stream, like a worker that has just started. */
  reopen(): void {
    this.close();
    this.#reads = this.#newStream();
  }

  /** Ends the stream. Reads that have no reply yet reject. */
  close(): void {
    this.#release();
    this.#reads.close();
  }

  #newStream(): ReadStream {
    const { client, timeoutMs } = this.#connection;
    const stream = new ReadStream(
      () => client.getEventsStream(),
      timeoutMs,
      () => undefined,
    );
    this.#release = this.#connection.cancelOnAbort({ cancel: () => stream.close() });
    return stream;
  }

  #saw<Reply extends { position: Position | undefined }>(reply: Reply): Reply {
    this.#position = reply.position;
    return reply;
  }
}
