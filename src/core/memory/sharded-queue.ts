import { LRUCache } from "lru-cache";
import type { Queued } from "./eviction-queue.js";

/**
 * A queue, first in first out, from whose middle items can be deleted, over lru-cache.
 *
 * It is divided into shards, each with an order of its own, because one Map of
 * a million entries stops the process for tens of milliseconds when it grows or
 * shrinks. The shards give their oldest item in turn. Items are spread
 * evenly, so this item is among the oldest of all. Processors' set-associative caches
 * work the same way. A shard exists while it holds items, so a small queue is cheap.
 */
export class ShardedQueue<T extends Queued> {
  readonly #shards: (Shard<T> | undefined)[];
  readonly #charge: (heapBytes: number) => void;
  #size = 0;
  /** Shards that hold items. */
  #open = 0;
  #nextVictim = 0;

  /** `shards` is a power of two. `charge` counts the heap bytes of shards, except the first: it belongs to the fixed cost of a homeserver. */
  constructor(shards: number, charge: (heapBytes: number) => void) {
    this.#shards = new Array<undefined>(shards).fill(undefined);
    this.#charge = charge;
  }

  get size(): number {
    return this.#size;
  }

  push(item: T): void {
    const place = this.#placeOf(item);
    let shard = this.#shards[place];
    if (shard === undefined) {
      shard = newShard();
      this.#shards[place] = shard;
      this.#open += 1;
      if (this.#open > 1) this.#charge(SHARD_HEAP_BYTES);
    }
    shard.items.set(item, item, SIZE);
    shard.peak = Math.max(shard.peak, shard.items.size);
    this.#size += 1;
  }

  /** Returns whether it held the item. */
  delete(item: T): boolean {
    const place = this.#placeOf(item);
    const shard = this.#shards[place];
    if (shard?.items.delete(item) !== true) return false;
    this.#removed(place, shard);
    return true;
  }

  /** Removes and returns an item that is among the oldest. */
  shift(): T | undefined {
    if (this.#size === 0) return undefined;
    for (;;) {
      const place = this.#nextVictim;
      this.#nextVictim = (place + 1) & (this.#shards.length - 1);
      const shard = this.#shards[place];
      const item = shard?.items.pop();
      if (shard === undefined || item === undefined) continue;
      this.#removed(place, shard);
      return item;
    }
  }

  #placeOf(item: T): number {
    return item.hash & (this.#shards.length - 1);
  }

  /** Frees memory of a shard that has shrunk: lru-cache's arrays only grow. */
  #removed(place: number, shard: Shard<T>): void {
    this.#size -= 1;
    const { size } = shard.items;
    if (size === 0) {
      this.#shards[place] = undefined;
      this.#open -= 1;
      if (this.#open > 0) this.#charge(-SHARD_HEAP_BYTES);
    } else if (shard.peak >= COMPACTED_PEAK_MIN && size <= shard.peak >> 2) {
      const compact = newShard<T>();
      for (const item of shard.items.rkeys()) compact.items.set(item, item, SIZE);
      compact.peak = size;
      this.#shards[place] = compact;
    }
  }
}

interface Shard<T extends Queued> {
  readonly items: LRUCache<T, T>;
  /** The most items that it has held. */
  peak: number;
}

/** lru-cache itself never evicts. Given `max`, it would reserve memory for as many items. */
function newShard<T extends Queued>(): Shard<T> {
  return { items: new LRUCache<T, T>({ maxSize: Number.MAX_SAFE_INTEGER }), peak: 0 };
}

const SIZE = { size: 1 } as const;
/** A shard without its items, as measured with lru-cache 11.5.3. */
const SHARD_HEAP_BYTES = 2300;
/** Below it the arrays of a shard are small. */
const COMPACTED_PEAK_MIN = 1024;
/** At the smallest budget there is one shard. No Map grows far beyond 50,000 entries. */
const SHARD_BYTES_MAX = 20 * 1024 * 1024;
const SHARDS_MAX = 4096;

/** The number of shards of a queue whose items may use this many bytes. */
export function shardCount(bytesMax: number): number {
  let shards = 1;
  while (shards < SHARDS_MAX && shards * SHARD_BYTES_MAX < bytesMax) shards *= 2;
  return shards;
}
