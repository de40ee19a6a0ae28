import type { CacheStats, MissReason } from "../model/store.js";
import type { EventId, EventState, RoomId } from "../model/types.js";
import type { Bounded, BoundedCache, Bounds, Cost, MakeBoundedCache } from "./bounded-cache.js";
import type { EventCache, Variant } from "./event-cache.js";
import { ExtendibleHashMap } from "./extendible-hash-map.js";
import { BUFFER_BYTES, CACHE_SLOT_BYTES, MAP_SLOT_BYTES, residentBytes, stringBytes } from "./heap-cost.js";

/** One homeserver's entry of one event. */
export interface MetadataEntry extends Bounded {
  readonly eventId: EventId;
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

/** One homeserver's metadata: its rooms, and at most one entry per event ID. */
export class HomeserverMetadata {
  readonly rooms = new ExtendibleHashMap<RoomId, Room>();
  readonly entries = new ExtendibleHashMap<EventId, MetadataEntry>();
  /** What the entries and the events that they refer to cost; a shared event counts for each owner. */
  bytes = 0;
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
  readonly #recency: BoundedCache<MetadataEntry>;

  constructor(bounds: Bounds, makeCache: MakeBoundedCache, events: EventCache) {
    this.#events = events;
    this.#recency = makeCache<MetadataEntry>(bounds, (entry) => this.#unlink(entry));
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
      lastUse: 0,
      eventId,
      room,
      variant,
      internalMetadata,
      expiresAtMs,
      writeBackAtMs,
      state,
    };
    this.#recency.add(entry, cost);
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

  /** Makes a live entry and its variant the most recently used. */
  touch(entry: MetadataEntry): void {
    this.#recency.touch(entry);
    this.#events.touch(entry.variant);
  }

  /** Sets the state of a live entry. Its time to live does not change. */
  setState(entry: MetadataEntry, state: EventState): void {
    entry.state = state;
    const cost = entryCost(state, entry.internalMetadata);
    entry.room.owner.bytes += cost.bytes - entry.cost.bytes;
    this.#recency.resize(entry, cost);
  }

  drop(entry: MetadataEntry): void {
    this.#recency.delete(entry);
    this.#unlink(entry);
  }

  /** Purges a room in constant time. Returns how many entries died; the sweep removes them. */
  purgeRoom(owner: HomeserverMetadata, roomId: RoomId): number {
    const room = owner.rooms.get(roomId);
    if (room === undefined) return 0;
    room.purged = true;
    owner.rooms.delete(roomId);
    this.#recency.charge(-roomHeapBytes(room));
    return room.entries;
  }

  stats(): CacheStats & { readonly heapBytes: number } {
    return this.#recency.stats();
  }

  #room(owner: HomeserverMetadata, roomId: RoomId): Room {
    const known = owner.rooms.get(roomId);
    if (known !== undefined) return known;
    const room: Room = { roomId, purged: false, entries: 0, owner };
    owner.rooms.set(roomId, room);
    this.#recency.charge(roomHeapBytes(room));
    return room;
  }

  #unlink(entry: MetadataEntry): void {
    const { room, variant } = entry;
    const { owner } = room;
    owner.entries.delete(entry.eventId);
    owner.bytes -= entry.cost.bytes + variant.cost.bytes;
    room.entries -= 1;
    if (room.entries === 0 && !room.purged) {
      owner.rooms.delete(room.roomId);
      this.#recency.charge(-roomHeapBytes(room));
    }
    this.#events.release(variant);
  }
}

/** The entry object, its state, and its entries in the index and in the LRU order. */
const ENTRY_HEAP_BYTES = 168 + MAP_SLOT_BYTES + CACHE_SLOT_BYTES;
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
