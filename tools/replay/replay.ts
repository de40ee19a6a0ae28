import type { SidecarConnection } from "../../src/cli/client/connection.js";
import { outcomeName } from "../../src/cli/io/contract-text.js";
import { chunks } from "../../src/client/events.js";
import { BATCH_MAX } from "../../src/core/model/limits.js";
import {
  type CachedEvent,
  type GetEventsResponse,
  type Position,
  PutOutcome,
  RedactionView,
  SetOutcome,
} from "../../src/gen/splitcache/v1/event_cache_service.js";
import { type Announcement, ReplayClient } from "./replay-client.js";
import { ReplayReport } from "./replay-report.js";
import { differingField, type RedactedBodies } from "./reply-check.js";
import { TaskPool } from "./task-pool.js";
import type { Effect, TraceDatabase } from "./trace-database.js";
import type { TraceLine, WriteLine } from "./trace-line.js";

export interface ReplayOptions {
  /** The homeserver to act as. Its cached data is purged first. */
  readonly homeserver: string;
  /** The reads to send: all (`get`), or only reads that missed the worker's own cache (`fetch`). */
  readonly reads: "get" | "fetch";
  /** The limit of reads in flight between two writes. */
  readonly concurrency: number;
  /** Whether to compare every reply with the database. */
  readonly check: boolean;
  readonly redactedBodies: RedactedBodies;
  readonly observer?: ReplayObserver;
}

/** Called before and after each announced change. The replay waits for it. */
export interface ReplayObserver {
  before(change: Announcement): Promise<void>;
  after(change: Announcement, outcome: SetOutcome | undefined): Promise<void>;
}

/**
 * Replays the trace of a recorded homeserver against a sidecar, and counts. Reads
 * between two writes run concurrently, and so do the puts after their misses. Before
 * and after a write the replay waits for all of them, so that the state of the
 * database at the time of each reply is known.
 */
export async function replay(
  connection: SidecarConnection,
  database: TraceDatabase,
  lines: AsyncIterable<TraceLine>,
  options: ReplayOptions,
): Promise<ReplayReport> {
  const start = performance.now();
  const client = new ReplayClient(connection, options.homeserver);
  const run = new ReplayRun(client, database, options);
  try {
    await client.purgeHomeserver();
    for await (const line of lines) await run.step(line);
    await run.finish();
  } finally {
    client.close();
  }
  run.report.durationMs = performance.now() - start;
  run.report.latencies = client.latencies.summaries();
  return run.report;
}

class ReplayRun {
  readonly report = new ReplayReport();
  readonly #client: ReplayClient;
  readonly #database: TraceDatabase;
  readonly #options: ReplayOptions;
  readonly #reads: TaskPool;
  /** Events that were put and not invalidated since. A cache with enough memory must hold them. */
  readonly #held = new Set<string>();
  /** The current transaction, and its effects that must be announced. */
  #transaction: number | undefined;
  #owed: Effect[] = [];

  constructor(client: ReplayClient, database: TraceDatabase, options: ReplayOptions) {
    this.#client = client;
    this.#database = database;
    this.#options = options;
    this.#reads = new TaskPool(options.concurrency);
  }

  async step(line: TraceLine): Promise<void> {
    this.report.lines.add(line.op);
    switch (line.op) {
      case "get":
      case "fetch":
        if (line.op === this.#options.reads)
          await this.#startRead(line.ids.map((id) => this.#database.eventIdOf(id)));
        return;
      case "restart":
        // The worker restarts and opens a new stream. The sidecar keeps its cache.
        await this.finish();
        return this.#client.reopen();
      case "time":
      case "invalidate":
      case "have_seen":
        return;
      default:
        return this.#write(line);
    }
  }

  /** Commits the current transaction and waits for all reads. */
  async finish(): Promise<void> {
    await this.#settleTransaction();
    await this.#reads.drain();
  }

  /** Whether a line belongs to the transaction: it names the transaction, or it is a redaction of its events. */
  async #write(line: WriteLine): Promise<void> {
    const transaction = "txn" in line ? line.txn : undefined;
    const continues =
      line.op === "redact" || (transaction !== undefined && transaction === this.#transaction);
    if (!continues) {
      await this.finish();
      this.#transaction = transaction;
    }
    this.#owed.push(...this.#database.apply(line));
  }

  /** Puts and announces after the commit. The puts have a position from before it, so they come before their own changes. */
  async #settleTransaction(): Promise<void> {
    const owed = this.#owed;
    this.#owed = [];
    this.#transaction = undefined;
    if (owed.length === 0) return;
    const asOf = this.#client.position;
    const persisted = owed.filter((effect) => effect.kind === "persisted").map(({ eventId }) => eventId);
    await this.#put(persisted, asOf);
    for (const effect of owed) {
      if (effect.kind !== "persisted") await this.#announce(effect, asOf);
    }
  }

  async #announce(change: Announcement, asOf: Position): Promise<void> {
    await this.#options.observer?.before(change);
    const outcome = await this.#client.announce(this.#asWritten(change), asOf);
    this.report.announcements +=
      change.kind === "invalidated" ? Math.ceil(change.eventIds.length / BATCH_MAX) : 1;
    switch (change.kind) {
      case "redacted":
      case "rejected":
        if (outcome !== SetOutcome.APPLIED) this.#held.delete(change.eventId);
        this.report[change.kind === "redacted" ? "redactions" : "rejections"].add(
          outcomeName(SetOutcome, outcome),
        );
        break;
      case "invalidated":
        for (const eventId of change.eventIds) this.#held.delete(eventId);
        this.report.invalidated.add(change.cause, change.eventIds.length);
        break;
      case "roomPurged":
        for (const eventId of change.eventIds) this.#held.delete(eventId);
        this.report.roomsPurged += 1;
    }
    await this.#options.observer?.after(change, outcome);
  }

  async #startRead(eventIds: readonly string[]): Promise<void> {
    await this.#settleTransaction();
    for (const ids of chunks(eventIds, BATCH_MAX)) {
      // Alternates between both views: each event is read many times.
      const even = this.report.idsRead % 2 === 0;
      this.report.idsRead += ids.length;
      await this.#reads.add(() => this.#read(ids, even ? RedactionView.ORIGINAL : RedactionView.REDACTED));
    }
  }

  async #read(eventIds: string[], view: RedactionView): Promise<void> {
    const held = new Set(eventIds.filter((eventId) => this.#held.has(eventId)));
    const reply = await this.#client.read(eventIds, view);
    if (this.#options.check) this.#check(eventIds, reply, view);
    this.report.hits += reply.events.length;
    const stored = reply.missingEventIds.filter((eventId) => this.#database.event(eventId) !== undefined);
    this.report.missesStored += stored.length;
    this.report.missesNotStored += reply.missingEventIds.length - stored.length;
    this.report.missesLost += stored.filter((eventId) => held.has(eventId)).length;
    this.report.truncated += reply.truncatedEventIds.length;
    await this.#put(stored, reply.position ?? this.#client.position);
    const progress = reply.truncatedEventIds.length < eventIds.length;
    if (progress && reply.truncatedEventIds.length > 0) await this.#read(reply.truncatedEventIds, view);
  }

  #check(eventIds: readonly string[], reply: GetEventsResponse, view: RedactionView): void {
    const hits = reply.events.map(({ eventId }) => eventId);
    const answers = [...hits, ...reply.missingEventIds, ...reply.truncatedEventIds];
    const answered = new Set(answers);
    if (answers.length !== eventIds.length || !eventIds.every((eventId) => answered.has(eventId))) {
      this.report.mismatch(`requested ${eventIds.length} events, but the reply has ${answers.length}`);
    }
    for (const hit of reply.events) {
      const stored = this.#database.event(hit.eventId);
      const field = stored && differingField(hit, stored, view, this.#options.redactedBodies);
      if (stored === undefined) this.report.mismatch(`${hit.eventId}: served, but not stored`);
      else if (field !== undefined)
        this.report.mismatch(`${hit.eventId}: ${field} differs from the stored value`);
    }
  }

  async #put(eventIds: readonly string[], asOf: Position): Promise<void> {
    const events = eventIds.flatMap((eventId) => this.#database.event(eventId) ?? []);
    const outcomes = await this.#client.put(
      events.map((event) => this.#asPut(event)),
      asOf,
    );
    for (const [index, { eventId }] of events.entries()) {
      const outcome = outcomes[index];
      this.report.puts.add(outcomeName(PutOutcome, outcome));
      if (outcome === PutOutcome.STORED) this.#held.add(eventId);
    }
  }

  #asPut(event: CachedEvent): CachedEvent {
    if (event.redaction === undefined || this.#options.redactedBodies === "given") return event;
    return { ...event, redaction: { ...event.redaction, redactedBody: Buffer.alloc(0) } };
  }

  #asWritten(change: Announcement): Announcement {
    if (change.kind !== "redacted" || this.#options.redactedBodies === "given") return change;
    return { ...change, redaction: { ...change.redaction, redactedBody: Buffer.alloc(0) } };
  }
}
