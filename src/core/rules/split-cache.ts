import { encodedBody, encodedRoomVersion } from "../memory/encoded-event.js";
import { EventCache } from "../memory/event-cache.js";
import type { MakeQueue } from "../memory/eviction-queue.js";
import { Loan } from "../memory/loan.js";
import { type MemoryQuota, MemoryShares } from "../memory/memory-shares.js";
import {
  type EntryHolding,
  type HomeserverMetadata,
  MetadataCache,
  type MetadataEntry,
} from "../memory/metadata-cache.js";
import { isUnredactable, stateOf } from "../model/event-state.js";
import type { PutRequest, PutResult, ReadRequest, TakeEvents } from "../model/store.js";
import type { EventId, NewEvent, Position, PutOutcome, ReadResult, StoredEvent } from "../model/types.js";
import { ChangeRules } from "./change-rules.js";
import type { HomeserverState } from "./homeserver-state.js";
import type { LateFill, WriteBack } from "./late-fill.js";
import { Sweep } from "./sweep.js";

export interface SplitCacheOptions {
  readonly makeQueue: MakeQueue;
  readonly eventBytesMax: number;
  readonly metadataBytesMax: number;
  /** What entries of each cache may use of the JavaScript heap. */
  readonly eventHeapBytesMax: number;
  readonly metadataHeapBytesMax: number;
  readonly entriesMax: number;
  /** The sum of the shares of memory that homeservers were promised. */
  readonly promised?: number;
  readonly metadataTtlMs: number;
  /** Runs a function in a later turn of the event loop. */
  readonly defer: (run: () => void) => void;
  /** Where entries in use are written again, so that they do not grow old there. */
  readonly writeBack?: WriteBack;
}

/**
 * The rules that join the two caches, the log and the fence. Every operation is
 * one synchronous step on a homeserver's state, so nothing can come between the
 * parts of a rule. Whether the state is current is the caller's to check, in the
 * same step.
 */
export class SplitCache {
  readonly #shares: MemoryShares<MetadataEntry>;
  readonly #events: EventCache;
  readonly #metadata: MetadataCache;
  readonly #metadataTtlMs: number;
  readonly #writeBack: WriteBack | undefined;
  readonly sweep: Sweep;
  readonly changes: ChangeRules;

  constructor(options: SplitCacheOptions) {
    const { entriesMax } = options;
    this.#metadataTtlMs = options.metadataTtlMs;
    this.#writeBack = options.writeBack;
    this.#shares = new MemoryShares<MetadataEntry>({
      bounds: {
        events: { bytesMax: options.eventBytesMax, heapBytesMax: options.eventHeapBytesMax, entriesMax },
        metadata: {
          bytesMax: options.metadataBytesMax,
          heapBytesMax: options.metadataHeapBytesMax,
          entriesMax,
        },
      },
      makeQueue: options.makeQueue,
      promised: options.promised,
      onEvict: (entry, mustFree) => this.#metadata.evicted(entry, mustFree),
    });
    this.#events = new EventCache({
      shares: this.#shares,
      defer: options.defer,
      onOrphans: (count) => this.sweep.expectDead(count),
    });
    this.#metadata = new MetadataCache(this.#shares, this.#events);
    this.sweep = new Sweep(this.#metadata);
    this.changes = new ChangeRules({
      metadata: this.#metadata,
      sweep: this.sweep,
      onWritten: (...written) => this.#writeToTier(...written),
    });
  }

  /** Lends `take` one answer per mention. */
  getEvents(homeserver: HomeserverState, request: ReadRequest, nowMs: number, take: TakeEvents): void {
    const loan = new Loan();
    lend(this.#lookUpAll(homeserver, request, nowMs, loan), loan, take);
  }

  /**
   * The same if the homeserver has a live entry of every event here, or if the read's
   * `min_position` is ahead; else returns the events that it lacks, each once, and
   * changes nothing.
   */
  getEventsOrAbsent(
    homeserver: HomeserverState,
    request: ReadRequest,
    nowMs: number,
    take: TakeEvents,
  ): readonly EventId[] | undefined {
    if (!isBehind(homeserver.log.position, request.minPosition)) {
      const isAbsent = (eventId: EventId) =>
        this.#metadata.live(homeserver.metadata, eventId, nowMs) === undefined;
      const absent = request.eventIds.filter(isAbsent);
      if (absent.length > 0) return [...new Set(absent)];
    }
    this.getEvents(homeserver, request, nowMs, take);
    return undefined;
  }

  /** A redaction lacks a redacted body if it could not be made: see with-redacted-bodies.ts. */
  putEvents(homeserver: HomeserverState, request: PutRequest, nowMs: number): PutResult {
    const outcomes = new Map<EventId, PutOutcome>();
    // From the end, since of an ID given twice the last event counts.
    for (let at = request.events.length - 1; at >= 0; at--) {
      const event = request.events[at]!;
      if (outcomes.has(event.eventId)) continue;
      const outcome = homeserver.log.judge(request.asOf, event.eventId, event.roomId);
      if (outcome === "stored") this.#store(homeserver.metadata, event, nowMs, nowMs + this.#metadataTtlMs);
      outcomes.set(event.eventId, outcome);
    }
    const inOrder = request.events.map((event) => outcomes.get(event.eventId)!);
    for (const outcome of inOrder) homeserver.counters.puts[outcome] += 1;
    return { outcomes: inOrder, position: homeserver.log.position };
  }

  /**
   * Stores an entry that was put earlier, somewhere else, with its own `asOf` and
   * the end of its time to live, by the same fence as a put.
   */
  fillLate(homeserver: HomeserverState, { event, asOf, expiresAtMs }: LateFill, nowMs: number): void {
    if (homeserver.log.judge(asOf, event.eventId, event.roomId) !== "stored") return;
    this.#store(homeserver.metadata, event, nowMs, expiresAtMs);
  }

  /** Makes the part of a new homeserver in the memory of both caches. */
  newHolding(quota: MemoryQuota): EntryHolding {
    return this.#shares.newHolding(quota);
  }

  /** An idle homeserver has no share of the memory, unless it was promised one. */
  setIdle({ holding }: HomeserverState, isIdle: boolean): void {
    this.#shares.setIdle(holding, isIdle);
  }

  stats() {
    return { events: this.#events.stats(), metadata: this.#metadata.stats() };
  }

  /** The position is taken before the lookup: a fill by it may be refused, never wrong. */
  #lookUpAll(homeserver: HomeserverState, request: ReadRequest, nowMs: number, loan: Loan): ReadResult {
    const { position } = homeserver.log;
    const { eventIds, minPosition } = request;
    if (isBehind(position, minPosition)) {
      homeserver.counters.misses.behind += eventIds.length;
      return { position, events: eventIds.map(() => undefined) };
    }
    const events = eventIds.map((eventId) => this.#lookUp(homeserver, eventId, request, nowMs, loan));
    return { position, events };
  }

  #lookUp(
    homeserver: HomeserverState,
    eventId: EventId,
    { view }: ReadRequest,
    nowMs: number,
    loan: Loan,
  ): StoredEvent | undefined {
    const { counters } = homeserver;
    const entry = homeserver.metadata.entries.get(eventId);
    if (entry === undefined) {
      counters.misses.absent += 1;
      return undefined;
    }
    const dead = this.#metadata.deadBecause(entry, nowMs);
    if (dead !== undefined) {
      this.#metadata.drop(entry);
      counters.misses[dead] += 1;
      return undefined;
    }
    if (view === "redacted" && isUnredactable(entry.state)) {
      counters.misses.unredactable += 1;
      return undefined;
    }
    this.#metadata.touch(entry);
    counters.hits += 1;
    if (nowMs >= entry.writeBackAtMs) this.#writeToTier(homeserver, entry, nowMs);
    const { variant, state, internalMetadata } = entry;
    return { eventId: variant.eventId, encoded: loan.lend(variant.range!), state, internalMetadata };
  }

  #store(owner: HomeserverMetadata, event: NewEvent, nowMs: number, expiresAtMs: number): void {
    const state = stateOf(event);
    this.#metadata.dropIfDead(owner, event.eventId, nowMs);
    const variant = this.#events.acquire(event, owner.holding);
    this.sweep.expectExpiry(expiresAtMs);
    this.#metadata.put(owner, {
      variant,
      roomId: event.roomId,
      state,
      internalMetadata: latin1(event.internalMetadata),
      expiresAtMs,
      writeBackAtMs: nowMs + (this.#writeBack?.intervalMs ?? Number.POSITIVE_INFINITY),
    });
  }

  /** Writes an entry to the tier as of the homeserver's position. */
  #writeToTier(homeserver: HomeserverState, entry: MetadataEntry, nowMs: number): void {
    if (this.#writeBack === undefined) return;
    entry.writeBackAtMs = nowMs + this.#writeBack.intervalMs;
    this.#writeBack.take(homeserver, {
      event: eventOf(entry),
      asOf: homeserver.log.position,
      expiresAtMs: entry.expiresAtMs,
    });
  }
}

/** A live entry as it was put, with what was set since. */
function eventOf({ eventId, room, variant, state, internalMetadata }: MetadataEntry): NewEvent {
  const encoded = variant.range!;
  return {
    eventId,
    roomId: room.roomId,
    roomVersion: encodedRoomVersion(encoded),
    body: encodedBody(encoded),
    rejected: state.rejected,
    rejectedReason: state.rejectedReason,
    redaction: state.redaction,
    internalMetadata: Buffer.from(internalMetadata, "latin1"),
  };
}

function lend(result: ReadResult, loan: Loan, take: TakeEvents): void {
  try {
    take(result);
  } finally {
    loan.end();
  }
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}

/** Whether `position` has been reached. Positions of two epochs are never compared: the answer is then false. */
function isBehind(position: Position, minPosition: Position | undefined): boolean {
  if (minPosition === undefined) return false;
  return minPosition.epoch !== position.epoch || minPosition.sequence > position.sequence;
}
