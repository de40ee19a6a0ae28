import type { MakeBoundedCache } from "./bounded-cache.js";
import { EventCache } from "./event-cache.js";
import { completeRedaction, isUnredactable, stateOf } from "./event-state.js";
import type { HomeserverState } from "./homeserver-state.js";
import { type HomeserverMetadata, MetadataCache, type MetadataEntry } from "./metadata-cache.js";
import { isBehind } from "./position.js";
import type {
  PutRequest,
  PutResult,
  ReadRequest,
  SetRedactionRequest,
  SetRejectedRequest,
  SetResult,
} from "./store.js";
import { Sweep } from "./sweep.js";
import type {
  Change,
  EventId,
  EventState,
  NewEvent,
  Position,
  PutOutcome,
  ReadResult,
  RoomId,
  StoredEvent,
} from "./types.js";

export interface SplitCacheOptions {
  readonly makeCache: MakeBoundedCache;
  readonly eventBytesMax: number;
  readonly metadataBytesMax: number;
  /** What entries of each cache may use of the JavaScript heap. */
  readonly eventHeapBytesMax: number;
  readonly metadataHeapBytesMax: number;
  readonly entriesMax: number;
  readonly metadataTtlMs: number;
  /** Runs a function in a later turn of the event loop. */
  readonly defer: (run: () => void) => void;
}

/**
 * The rules that join the two caches, the log and the fence. Every operation is
 * one synchronous step on a homeserver's state whose leases were judged just
 * before, so nothing can come between the parts of a rule.
 */
export class SplitCache {
  readonly #events: EventCache;
  readonly #metadata: MetadataCache;
  readonly #metadataTtlMs: number;
  readonly sweep: Sweep;

  constructor(options: SplitCacheOptions) {
    const { makeCache, entriesMax } = options;
    this.#metadataTtlMs = options.metadataTtlMs;
    this.#events = new EventCache({
      bounds: { bytesMax: options.eventBytesMax, heapBytesMax: options.eventHeapBytesMax, entriesMax },
      makeCache,
      defer: options.defer,
      onOrphans: (count) => this.sweep.expectDead(count),
    });
    this.#metadata = new MetadataCache(
      { bytesMax: options.metadataBytesMax, heapBytesMax: options.metadataHeapBytesMax, entriesMax },
      makeCache,
      this.#events,
    );
    this.sweep = new Sweep(this.#metadata);
  }

  /** Answers once per mention. The position is taken before the lookup: a fill by it may be refused, never wrong. */
  getEvents(homeserver: HomeserverState, request: ReadRequest, nowMs: number): ReadResult {
    const { position } = homeserver.log;
    const { eventIds, minPosition } = request;
    const blocked = homeserver.suspended
      ? "suspended"
      : isBehind(position, minPosition)
        ? "behind"
        : undefined;
    if (blocked !== undefined) {
      homeserver.counters.misses[blocked] += eventIds.length;
      return { position, events: eventIds.map(() => undefined) };
    }
    return { position, events: eventIds.map((eventId) => this.#lookUp(homeserver, eventId, request, nowMs)) };
  }

  /** A redaction without a redacted body is one that could not be made: see redact-ahead.ts. */
  putEvents(homeserver: HomeserverState, request: PutRequest, nowMs: number): PutResult {
    const outcomes = new Map<EventId, PutOutcome>();
    // From the end, since of an ID given twice the last event counts.
    for (let at = request.events.length - 1; at >= 0; at--) {
      const event = request.events[at]!;
      if (outcomes.has(event.eventId)) continue;
      const outcome = homeserver.suspended
        ? "suspended"
        : homeserver.log.judge(request.asOf, event.eventId, event.roomId);
      if (outcome === "stored") this.#store(homeserver.metadata, event, nowMs);
      outcomes.set(event.eventId, outcome);
    }
    const inOrder = request.events.map((event) => outcomes.get(event.eventId)!);
    for (const outcome of inOrder) homeserver.counters.puts[outcome] += 1;
    return { outcomes: inOrder, position: homeserver.log.position };
  }

  setRedaction(homeserver: HomeserverState, request: SetRedactionRequest, nowMs: number): SetResult {
    const { eventId, redaction } = request;
    return this.#set(homeserver, request, nowMs, {
      change: (roomId) => ({ kind: "redacted", roomId, eventId, redactedBy: redaction.redactedBy }),
      state: (entry) => ({
        rejected: entry.state.rejected,
        rejectedReason: entry.state.rejectedReason,
        redaction: completeRedaction(redaction, entry.variant.frame!),
      }),
    });
  }

  setRejected(homeserver: HomeserverState, request: SetRejectedRequest, nowMs: number): SetResult {
    const { eventId, rejected, rejectedReason } = request;
    return this.#set(homeserver, request, nowMs, {
      change: (roomId) => ({ kind: "rejected", roomId, eventId, rejected }),
      state: (entry) => ({ rejected, rejectedReason, redaction: entry.state.redaction }),
    });
  }

  invalidateEvents(
    homeserver: HomeserverState,
    roomId: RoomId | undefined,
    eventIds: readonly EventId[],
  ): Position {
    const unique = [...new Set(eventIds)];
    const entries = unique.map((eventId) => homeserver.metadata.entries.get(eventId));
    const known = roomId ?? commonRoom(entries);
    for (const entry of entries) if (entry !== undefined) this.#metadata.drop(entry);
    return homeserver.announce({ kind: "invalidated", roomId: known, eventIds: unique });
  }

  purgeRoom(homeserver: HomeserverState, roomId: RoomId): Position {
    this.sweep.expectDead(this.#metadata.purgeRoom(homeserver.metadata, roomId));
    return homeserver.announce({ kind: "roomPurged", roomId });
  }

  purgeHomeserver(homeserver: HomeserverState): Position {
    homeserver.dropMetadata();
    return homeserver.announce({ kind: "homeserverPurged" });
  }

  stats() {
    return { events: this.#events.stats(), metadata: this.#metadata.stats() };
  }

  #lookUp(
    homeserver: HomeserverState,
    eventId: EventId,
    { view }: ReadRequest,
    nowMs: number,
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
    const { variant, state, internalMetadata } = entry;
    return { eventId: variant.eventId, frame: variant.frame!, state, internalMetadata };
  }

  #store(owner: HomeserverMetadata, event: NewEvent, nowMs: number): void {
    const state = stateOf(event);
    const variant = this.#events.acquire(event);
    const expiresAtMs = nowMs + this.#metadataTtlMs;
    this.sweep.expectExpiry(expiresAtMs);
    this.#metadata.put(owner, {
      variant,
      roomId: event.roomId,
      state,
      internalMetadata: latin1(event.internalMetadata),
      expiresAtMs,
    });
  }

  /**
   * The way of both Set… calls: the change is always announced; its value is
   * written only if nothing was announced since its writer's `as_of`, so that of
   * two writers that race neither leaves the loser's value behind.
   */
  #set(
    homeserver: HomeserverState,
    request: SetRedactionRequest | SetRejectedRequest,
    nowMs: number,
    make: { change: (roomId: RoomId | undefined) => Change; state: (entry: MetadataEntry) => EventState },
  ): SetResult {
    const { eventId, roomId, asOf } = request;
    const found = homeserver.metadata.entries.get(eventId);
    const entry =
      found === undefined || this.#metadata.deadBecause(found, nowMs) !== undefined ? undefined : found;
    const applies =
      entry !== undefined &&
      asOf !== undefined &&
      (roomId === undefined || roomId === entry.room.roomId) &&
      homeserver.log.judge(asOf, eventId, entry.room.roomId) === "stored";
    if (applies) this.#metadata.setState(entry, make.state(entry));
    else if (found !== undefined) this.#metadata.drop(found);
    const position = homeserver.announce(make.change(roomId ?? entry?.room.roomId));
    const outcome = entry === undefined ? "absent" : applies ? "applied" : "dropped";
    homeserver.counters.sets[outcome] += 1;
    return { outcome, position };
  }
}

function commonRoom(entries: readonly (MetadataEntry | undefined)[]): RoomId | undefined {
  const roomId = entries[0]?.room.roomId;
  return entries.every((entry) => entry?.room.roomId === roomId) ? roomId : undefined;
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}
