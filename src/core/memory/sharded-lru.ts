import { LRUCache } from "lru-cache";
import type { CacheStats } from "../model/store.js";
import type { Bounded, BoundedCache, Bounds, Cost } from "./bounded-cache.js";

/**
 * A bounded cache over lru-cache.
 *
 * It is divided into shards, each with an LRU order of its own, because one Map of
 * a million entries stops the process for tens of milliseconds when it grows or
 * shrinks. Bytes are counted over all shards. To make room, the shards evict their
 * least recently used item in turn. Items are spread evenly, so an evicted item is
 * among the oldest of all. Processors' set-associative caches work the same way.
 */
export class ShardedLru<T extends Bounded> implements BoundedCache<T> {
  readonly #shards: LRUCache<T, T>[];
  readonly #bounds: Bounds;
  readonly #onEvict: (item: T) => void;
  #bytes = 0;
  #heapBytes = 0;
  #entries = 0;
  #evictions = 0;
  #nextVictim = 0;
  /** The time by which uses are ordered: items added so far. */
  #additions = 0;

  constructor(bounds: Bounds, onEvict: (item: T) => void) {
    this.#bounds = bounds;
    this.#onEvict = onEvict;
    const shards = shardCount(bounds.bytesMax);
    // Only the sum over all shards is bounded: lru-cache itself never evicts.
    this.#shards = Array.from({ length: shards }, () => new LRUCache<T, T>({ maxSize: 2 * bounds.bytesMax }));
  }

  add(item: T, cost: Cost): void {
    this.#makeRoom(cost);
    this.#count(cost, 1);
    item.cost = cost;
    item.lastUse = ++this.#additions;
    this.#shardOf(item).set(item, item, { size: cost.bytes });
    this.#entries += 1;
  }

  resize(item: T, cost: Cost): void {
    this.delete(item);
    this.add(item, cost);
  }

  touch(item: T): void {
    // An item among the newest eighth will not be evicted soon, so a read need not move it.
    if (this.#additions - item.lastUse <= this.#entries >> 3) return;
    item.lastUse = this.#additions;
    this.#shardOf(item).get(item);
  }

  delete(item: T): void {
    if (!this.#shardOf(item).delete(item)) return;
    this.#entries -= 1;
    this.#count(item.cost, -1);
  }

  charge(heapBytes: number): void {
    this.#bytes += heapBytes;
    this.#heapBytes += heapBytes;
  }

  stats(): CacheStats & { readonly heapBytes: number } {
    return {
      entries: this.#entries,
      bytes: this.#bytes,
      bytesMax: this.#bounds.bytesMax,
      heapBytes: this.#heapBytes,
      evictions: this.#evictions,
    };
  }

  #shardOf(item: T): LRUCache<T, T> {
    return this.#shards[item.hash & (this.#shards.length - 1)]!;
  }

  #count(cost: Cost, sign: 1 | -1): void {
    this.#bytes += sign * cost.bytes;
    this.#heapBytes += sign * cost.heapBytes;
  }

  #makeRoom(cost: Cost): void {
    const { bytesMax, heapBytesMax, entriesMax } = this.#bounds;
    while (
      this.#entries > 0 &&
      (this.#bytes + cost.bytes > bytesMax ||
        this.#heapBytes + cost.heapBytes > heapBytesMax ||
        this.#entries + 1 > entriesMax)
    ) {
      this.#evictOne();
    }
  }

  #evictOne(): void {
    let victim: T | undefined;
    do {
      const shard = this.#shards[this.#nextVictim]!;
      this.#nextVictim = (this.#nextVictim + 1) & (this.#shards.length - 1);
      victim = shard.pop();
    } while (victim === undefined);
    this.#entries -= 1;
    this.#count(victim.cost, -1);
    this.#evictions += 1;
    this.#onEvict(victim);
  }
}

/** At the smallest budget there is one shard. No Map grows far beyond 50,000 entries. */
const SHARD_BYTES_MAX = 20 * 1024 * 1024;
const SHARDS_MAX = 4096;

function shardCount(bytesMax: number): number {
  let shards = 1;
  while (shards < SHARDS_MAX && shards * SHARD_BYTES_MAX < bytesMax) shards *= 2;
  return shards;
}
