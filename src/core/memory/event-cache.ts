import type { CacheStats } from "../model/store.js";
import type { EventId, NewEvent } from "../model/types.js";
import type { Bounded, BoundedCache, Bounds, Cost, MakeBoundedCache } from "./bounded-cache.js";
import { ByteSlab, type RangeOwner, type SlabRange, slabCost } from "./byte-slab.js";
import { frameBytes, frameHolds, writeFrame } from "./encoded-event.js";
import { ExtendibleHashMap, hashOf } from "./extendible-hash-map.js";
import { CACHE_SLOT_BYTES, MAP_SLOT_BYTES, residentBytes, stringBytes } from "./heap-cost.js";

/**
 * One event as some homeservers hold it: (event ID, room ID, room version, body),
 * all four equal. Others may hold a different text under the same event ID; that
 * is another variant.
 */
export interface Variant extends Bounded, RangeOwner {
  readonly eventId: EventId;
  /** The bytes; absent once the variant has left the cache, and with it all metadata that refers to it is dead. */
  frame: SlabRange | undefined;
  /** How many metadata entries refer to it; owned by the event cache. */
  references: number;
  /** The next variant of the same event. */
  next: Variant | undefined;
}

export interface EventCacheOptions {
  readonly bounds: Bounds;
  readonly makeCache: MakeBoundedCache;
  /** Runs a function in a later turn of the event loop. */
  readonly defer: (run: () => void) => void;
  /** Is told how many metadata entries died with an evicted variant. */
  readonly onOrphans: (count: number) => void;
}

/**
 * The immutable half of the cache: variants by event ID, each stored once
 * however many homeservers put it, and dropped with its last reference.
 */
export class EventCache {
  readonly #firstVariants = new ExtendibleHashMap<EventId, Variant>();
  readonly #recency: BoundedCache<Variant>;
  readonly #slab: ByteSlab;

  constructor({ bounds, makeCache, defer, onOrphans }: EventCacheOptions) {
    this.#slab = new ByteSlab(defer);
    this.#recency = makeCache<Variant>(bounds, (variant) => {
      this.#unlink(variant);
      onOrphans(variant.references);
    });
  }

  /** Returns the variant that holds exactly this event, stored now if it was not, with one more reference. */
  acquire(event: NewEvent): Variant {
    const size = frameBytes(event);
    let variant = this.#firstVariants.get(event.eventId);
    while (variant !== undefined && !holds(variant, event, size)) variant = variant.next;
    if (variant === undefined) return this.#insert(event, size);
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

  stats(): CacheStats & { readonly heapBytes: number; readonly pageBytes: number } {
    return { ...this.#recency.stats(), pageBytes: this.#slab.pageBytes };
  }

  #insert(event: NewEvent, size: number): Variant {
    const cost = variantCost(event.eventId, size);
    const variant: Variant = {
      hash: hashOf(event.eventId),
      cost,
      lastUse: 0,
      eventId: event.eventId,
      frame: undefined,
      references: 1,
      next: undefined,
    };
    // Making room may evict other variants of this very event: link only then.
    this.#recency.add(variant, cost);
    const { bytes, start } = this.#slab.allocate(variant, size);
    writeFrame(bytes, start, event);
    variant.next = this.#firstVariants.get(event.eventId);
    this.#firstVariants.set(event.eventId, variant);
    return variant;
  }

  #unlink(variant: Variant): void {
    this.#slab.free(variant);
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

/** The variant, its range and place in its page's list, its places in the index and in the order of use. */
const VARIANT_HEAP_BYTES = 136 + 80 + MAP_SLOT_BYTES + CACHE_SLOT_BYTES;

/** Whether a variant is the event; of many variants, most differ in size alone. */
function holds({ frame }: Variant, event: NewEvent, size: number): boolean {
  return frame !== undefined && frame.end - frame.start === size && frameHolds(frame, event);
}

function variantCost(eventId: EventId, size: number): Cost {
  const heapBytes = VARIANT_HEAP_BYTES + stringBytes(eventId);
  return { heapBytes, bytes: residentBytes(heapBytes) + slabCost(size) };
}
