import type { Bounded, BoundedCache, Bounds, Cost, MakeBoundedCache } from "./bounded-cache.js";
import { encodeFrame, frameHolds } from "./event-frame.js";
import { BUFFER_BYTES, CACHE_SLOT_BYTES, MAP_SLOT_BYTES, stringBytes } from "./heap-cost.js";
import { hashOf, IncrementalMap } from "./incremental-map.js";
import type { CacheStats } from "./store.js";
import type { ByteRange, EventId, NewEvent } from "./types.js";

/**
 * One event as some homeservers hold it: (event ID, room ID, room version, body),
 * all four equal. Others may hold a different text under the same event ID; that
 * is another variant.
 */
export interface Variant extends Bounded {
  readonly eventId: EventId;
  /** The bytes; absent once the variant has left the cache, and with it all metadata that refers to it is dead. */
  frame: ByteRange | undefined;
  /** How many metadata entries refer to it; owned by the event cache. */
  references: number;
  /** The next variant of the same event. */
  next: Variant | undefined;
}

/**
 * The immutable half of the cache: variants by event ID, each stored once
 * however many homeservers put it, and dropped with its last reference.
 */
export class EventCache {
  readonly #firstVariants = new IncrementalMap<EventId, Variant>();
  readonly #recency: BoundedCache<Variant>;
  readonly #onOrphans: (count: number) => void;

  /** `onOrphans` is told how many metadata entries died with an evicted variant. */
  constructor(bounds: Bounds, makeCache: MakeBoundedCache, onOrphans: (count: number) => void) {
    this.#recency = makeCache<Variant>(bounds, (variant) => {
      this.#unlink(variant);
      this.#onOrphans(variant.references);
    });
    this.#onOrphans = onOrphans;
  }

  /** Returns the variant that holds exactly this event, stored now if it was not, with one more reference. */
  acquire(event: NewEvent): Variant {
    let variant = this.#firstVariants.get(event.eventId);
    while (variant !== undefined && !frameHolds(variant.frame!, event)) variant = variant.next;
    if (variant === undefined) return this.#insert(event);
    variant.references += 1;
    this.#recency.touch(variant);
    return variant;
  }

  /** Gives back one reference; the last one takes the variant out of memory. */
  release(variant: Variant): void {
    variant.references -= 1;
    if (variant.references > 0 || variant.frame === undefined) return;
    this.#recency.delete(variant);
    this.#unlink(variant);
  }

  /** Makes a live variant the most recently used. */
  touch(variant: Variant): void {
    this.#recency.touch(variant);
  }

  stats(): CacheStats & { readonly heapBytes: number } {
    return this.#recency.stats();
  }

  #insert(event: NewEvent): Variant {
    const bytes = encodeFrame(event);
    const frame = { bytes, start: 0, end: bytes.length };
    const cost = variantCost(event.eventId, bytes.length);
    const variant: Variant = {
      hash: hashOf(event.eventId),
      cost,
      eventId: event.eventId,
      frame,
      references: 1,
      next: undefined,
    };
    // Making room may evict other variants of this very event: link only then.
    this.#recency.add(variant, cost);
    variant.next = this.#firstVariants.get(event.eventId);
    this.#firstVariants.set(event.eventId, variant);
    return variant;
  }

  #unlink(variant: Variant): void {
    variant.frame = undefined;
    const first = this.#firstVariants.get(variant.eventId);
    if (first === variant) {
      if (variant.next === undefined) this.#firstVariants.delete(variant.eventId);
      else this.#firstVariants.set(variant.eventId, variant.next);
    } else {
      let before = first;
      while (before !== undefined && before.next !== variant) before = before.next;
      if (before !== undefined) before.next = variant.next;
    }
    variant.next = undefined;
  }
}

/** The variant object, its frame's range, its places in the index and in the order of use. */
const VARIANT_HEAP_BYTES = 136 + BUFFER_BYTES + MAP_SLOT_BYTES + CACHE_SLOT_BYTES;
/** What the allocator adds to a block. */
const BLOCK_BYTES = 24;

function variantCost(eventId: EventId, frameBytes: number): Cost {
  const heapBytes = VARIANT_HEAP_BYTES + stringBytes(eventId);
  return { heapBytes, bytes: heapBytes + frameBytes + BLOCK_BYTES };
}
