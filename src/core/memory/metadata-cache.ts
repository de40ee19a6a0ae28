import type { CacheStats, MissReason } from "../model/store.js";
import type { EventId, EventState, RoomId } from "../model/types.js";
import type { Cost } from "./cost.js";
import type { EventCache, Variant } from "./event-cache.js";
import type { Queued } from "./eviction-queue.js";
import { ExtendibleHashMap } from "./extendible-hash-map.js";
import { BUFFER_BYTES, MAP_SLOT_BYTES, QUEUE_SLOT_BYTES, residentBytes, stringBytes } from "./heap-cost.js";
import type { Holding, MemoryShares } from "./memory-shares.js";

/** One homeserver's entry of one event. */
export interface MetadataEntry extends Queued {
  readonly eventId: EventId;
  cost: Cost;
  readonly room: Room;
  /** The variant that this entry was put with. Without its body the entry is dead. */
  readonly variant: Variant;
  readonly internalMetadata: string;
  readonly expiresAtMs: number;
  /** From when on a read writes the entry to the shared tier again. */
  writeBackAtMs: number;
  state: EventState;
}

/** One homeserver's room. Its entries refer to it, so purging it is one assignment. */
export interface Room {
  readonly roomId: RoomId;
  purged: boolean;
  entries: number;
  readonly owner: HomeserverMetadata;
}

/** A homeserver's part of the memory of both caches. */
export type EntryHolding = Holding<MetadataEntry>;

/** One homeserver's metadata: its rooms, and at most one entry per event ID. */
export class HomeserverMetadata {
  /** Outlives the metadata, which a purge replaces. */
  readonly holding: EntryHolding;
  readonly rooms = new ExtendibleHashMap<RoomId, Room>();
  readonly entries = new ExtendibleHashMap<EventId, MetadataEntry>();
  /** What the entries and the events that they refer to cost; a shared event counts for each owner. */
  bytes = 0;

  constructor(holding: EntryHolding) {
    this.holding = holding;
  }
}

export interface NewEntry {
  readonly variant: Variant;
  readonly roomId: RoomId;
  readonly state: EventState;
  readonly internalMetadata: string;
  readonly expiresAtMs: number;
  readonly writeBackAtMs: number;
}

/**
 * The mutable half of the cache: homeserver → room → event. An entry holds one
 * reference to its variant in the event cache, from `put` until it is dropped.
 */
export class MetadataCache {
  readonly #events: EventCache;
  readonly #shares: MemoryShares<MetadataEntry>;

  constructor(shares: MemoryShares<MetadataEntry>, events: EventCache) {
    this.#events = events;
    this.#shares = shares;
  }

  /** Stores an entry and replaces the homeserver's previous one of the same event ID. */
  put(owner: HomeserverMetadata, newEntry: NewEntry): void {
    const { variant, roomId, state, internalMetadata, expiresAtMs, writeBackAtMs } = newEntry;
    const { eventId, hash } = variant;
    const replaced = owner.entries.get(eventId);
    if (replaced !== undefined) this.drop(replaced);
    const room = this.#room(owner, roomId);
    room.entries += 1;
    const cost = entryCost(state, internalMetadata);
    const entry: MetadataEntry = {
      hash,
      cost,
      uses: 0,
      eventId,
      room,
      variant,
      internalMetadata,
      expiresAtMs,
      writeBackAtMs,
      state,
    };
    this.#count(entry);
    owner.entries.set(eventId, entry);
    owner.bytes += cost.bytes + variant.cost.bytes;
  }

  /** The reason why an entry must not be served; undefined if it may be. */
  deadBecause(entry: MetadataEntry, nowMs: number): MissReason | undefined {
    if (entry.room.purged || entry.variant.range === undefined) return "orphaned";
    return nowMs >= entry.expiresAtMs ? "expired" : undefined;
  }

  /** Returns a homeserver's entry of an event, if it may be served. */
  live(owner: HomeserverMetadata, eventId: EventId, nowMs: number): MetadataEntry | undefined {
    const entry = owner.entries.get(eventId);
    return entry !== undefined && this.deadBecause(entry, nowMs) === undefined ? entry : undefined;
  }

  /** Before room is made for an entry's successor: a dead entry must not count against the homeserver's share. */
  dropIfDead(owner: HomeserverMetadata, eventId: EventId, nowMs: number): void {
    const entry = owner.entries.get(eventId);
    if (entry !== undefined && this.deadBecause(entry, nowMs) !== undefined) this.drop(entry);
  }

  /** Counts a use of an entry. */
  touch(entry: MetadataEntry): void {
    entry.room.owner.holding.queue.touch(entry);
  }

  /** Sets the state of a live entry. Its time to live does not change. */
  setState(entry: MetadataEntry, state: EventState): void {
    entry.state = state;
    const { owner } = entry.room;
    const cost = entryCost(state, entry.internalMetadata);
    owner.bytes += cost.bytes - entry.cost.bytes;
    // Without its old cost, and out of the queue: it must not be evicted to make its own room.
    owner.holding.queue.delete(entry);
    this.#uncount(entry);
    entry.cost = cost;
    this.#count(entry);
  }

  drop(entry: MetadataEntry): void {
    entry.room.owner.holding.queue.delete(entry);
    this.#unlink(entry);
  }

  /** Drops an entry that left its queue to make room. `mustFree`: its body leaves memory too, although others hold it. */
  evicted(entry: MetadataEntry, mustFree: boolean): void {
    this.#unlink(entry);
    if (mustFree) this.#events.discard(entry.variant);
  }

  /** Purges a room in constant time. Returns how many entries died; the sweep removes them. */
  purgeRoom(owner: HomeserverMetadata, roomId: RoomId): number {
    const room = owner.rooms.get(roomId);
    if (room === undefined) return 0;
    room.purged = true;
    owner.rooms.delete(roomId);
    this.#shares.charge(owner.holding, -roomHeapBytes(room));
    return room.entries;
  }

  stats(): CacheStats & { readonly heapBytes: number } {
    return this.#shares.stats("metadata");
  }

  /** Makes room for an entry, counts it and puts it at the end of the queue. */
  #count(entry: MetadataEntry): void {
    const { holding } = entry.room.owner;
    this.#shares.makeRoom("metadata", entry.cost, holding);
    this.#shares.stored("metadata", entry.cost);
    this.#shares.held(holding, entry.variant.cost, entry.cost);
    holding.queue.add(entry);
  }

  #uncount(entry: MetadataEntry): void {
    this.#shares.removed("metadata", entry.cost);
    this.#shares.released(entry.room.owner.holding, entry.variant.cost, entry.cost);
  }

  #room(owner: HomeserverMetadata, roomId: RoomId): Room {
    const known = owner.rooms.get(roomId);
    if (known !== undefined) return known;
    const room: Room = { roomId, purged: false, entries: 0, owner };
    owner.rooms.set(roomId, room);
    this.#shares.charge(owner.holding, roomHeapBytes(room));
    return room;
  }

  #unlink(entry: MetadataEntry): void {
    const { room, variant } = entry;
    const { owner } = room;
    this.#uncount(entry);
    owner.entries.delete(entry.eventId);
    owner.bytes -= entry.cost.bytes + variant.cost.bytes;
    room.entries -= 1;
    if (room.entries === 0 && !room.purged) {
      owner.rooms.delete(room.roomId);
      this.#shares.charge(owner.holding, -roomHeapBytes(room));
    }
    this.#events.release(variant);
  }
}

/** The entry object, its state, and its entries in the index and in the eviction queue. */
const ENTRY_HEAP_BYTES = 168 + MAP_SLOT_BYTES + QUEUE_SLOT_BYTES;
const STATE_HEAP_BYTES = 48;
const REDACTION_HEAP_BYTES = 40;

function entryCost(state: EventState, internalMetadata: string): Cost {
  let heapBytes = ENTRY_HEAP_BYTES + stringBytes(internalMetadata);
  let bytes = 0;
  if (state.rejected) heapBytes += STATE_HEAP_BYTES + stringBytes(state.rejectedReason);
  if (state.redaction !== undefined) {
    heapBytes += STATE_HEAP_BYTES + REDACTION_HEAP_BYTES + stringBytes(state.redaction.redactedBy);
    const { redactedBody } = state.redaction;
    if (redactedBody !== undefined) {
      heapBytes += BUFFER_BYTES;
      bytes += redactedBody.byteLength;
    }
  }
  return { heapBytes, bytes: bytes + residentBytes(heapBytes) };
}

function roomHeapBytes(room: Room): number {
  return 64 + MAP_SLOT_BYTES + stringBytes(room.roomId);
}
