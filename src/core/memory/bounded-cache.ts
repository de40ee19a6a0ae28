import type { CacheStats } from "../model/store.js";

/** The cost of an item in bytes: in total, and in the JavaScript heap. */
export interface Cost {
  readonly bytes: number;
  readonly heapBytes: number;
}

/** An item that a bounded cache can hold; from `add` on the cache alone changes `cost` and `lastUse`. */
export interface Bounded {
  /** Any number that differs between items; spreads them over shards. */
  readonly hash: number;
  cost: Cost;
  /** When it was last used, as the cache counts. */
  lastUse: number;
}

export interface Bounds {
  readonly bytesMax: number;
  readonly heapBytesMax: number;
  readonly entriesMax: number;
}

/**
 * Holds items in the order of their last use, within bounds. To make room it
 * drops the least recently used items. This is all that core needs of an LRU cache.
 */
export interface BoundedCache<T extends Bounded> {
  /** Adds an item that is not held, as the most recently used; never drops it to make its own room. */
  add(item: T, cost: Cost): void;
  /** Changes the cost of a held item. */
  resize(item: T, cost: Cost): void;
  /** Makes a held item the most recently used. */
  touch(item: T): void;
  delete(item: T): void;
  /** Counts bytes that belong to no item, such as bytes of shared parts; negative to give back. */
  charge(heapBytes: number): void;
  stats(): CacheStats & { readonly heapBytes: number };
}

/** Makes a bounded cache; `onEvict` is called for each item dropped to make room, after it is gone. */
export type MakeBoundedCache = <T extends Bounded>(
  bounds: Bounds,
  onEvict: (item: T) => void,
) => BoundedCache<T>;
