import type { CacheStats } from "../model/store.js";
import type { EventId, NewEvent } from "../model/types.js";
import type { Bounded, BoundedCache, Bounds, Cost, MakeBoundedCache } from "./bounded-cache.js";
import { ByteSlab, type RangeOwner, type SlabRange, slabCost } from "./byte-slab.js";
import { encodedBytes, isEncodingOf, writeEncoded } from "./encoded-event.js";
import { ExtendibleHashMap, hashOf } from "./extendible-hash-map.js";
import { CACHE_SLOT_BYTES, MAP_SLOT_BYTES, residentBytes, stringBytes } from "./heap-cost.js";

/**
 * One event as some homeservers put it: event ID, room ID, room version and body,
 * all four equal. Another homeserver may put a different text under the same event
 * ID: that is another variant.
 */
export interface Variant extends Bounded, RangeOwner {
  readonly eventId: EventId;
  /** The bytes; absent once the variant was evicted. All metadata that refers to it is then dead. */
  range: SlabRange | undefined;
  /** How many metadata entries refer to it. Only the event cache changes it. */
  references: number;
  /** The next variant of the same event. */
  next: Variant | undefined;
}

export interface EventCacheOptions {
  readonly bounds: Bounds;
  readonly makeCache: MakeBoundedCache;
  /** Runs a function in a later turn of the event loop. */
  readonly defer: (run: () => void) => void;
  /** Called with the number of metadata entries that died with an evicted variant. */
  readonly onOrphans: (count: number) => void;
}

/**
 * The immutable half of the cache: variants by event ID. Each is stored once,
 * however many homeservers put it, and is dropped with its last reference.
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

  /** Returns the variant of exactly this event, with one more reference; stores it if it is new. */
  acquire(event: NewEvent): Variant {
    const size = encodedBytes(event);
    let variant = this.#firstVariants.get(event.eventId);
    while (variant !== undefined && !holds(variant, event, size)) variant = variant.next;
    if (variant === undefined) return this.#insert(event, size);
    variant.references += 1;
    this.#recency.touch(variant);
    return variant;
  }

  /** Releases one reference. With the last one the variant leaves memory. */
  release(variant: Variant): void {
    variant.references -= 1;
    if (variant.references > 0 || variant.range === undefined) return;
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
      range: undefined,
      references: 1,
      next: undefined,
    };
    // Making room may evict other variants of the same event, so link the new one afterwards.
    this.#recency.add(variant, cost);
    const { bytes, start } = this.#slab.allocate(variant, size);
    writeEncoded(bytes, start, event);
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

/** The variant, its range and page slot, and its entries in the index and in the LRU order. */
const VARIANT_HEAP_BYTES = 136 + 80 + MAP_SLOT_BYTES + CACHE_SLOT_BYTES;

/** Whether a variant is the event. Most variants differ in size, which is compared first. */
function holds({ range }: Variant, event: NewEvent, size: number): boolean {
  return range !== undefined && range.end - range.start === size && isEncodingOf(range, event);
}

function variantCost(eventId: EventId, size: number): Cost {
  const heapBytes = VARIANT_HEAP_BYTES + stringBytes(eventId);
  return { heapBytes, bytes: residentBytes(heapBytes) + slabCost(size) };
}
