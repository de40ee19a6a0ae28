import type { EvictionQueue, Queued } from "./eviction-queue.js";
import { GhostTable } from "./ghost-table.js";
import { ShardedQueue } from "./sharded-queue.js";

/**
 * S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023).
 * Homeservers have caches of their own in front of this one, which take the quick repeats
 * away; recency says little about what they leave.
 *
 * - A new item waits in the small queue. If it was used when its turn comes, it moves to the
 *   main queue; else it is evicted, and its hash is remembered as a ghost.
 * - An item that comes back while its ghost is remembered goes to the main queue at once.
 * - In the main queue an item that was used gets another round, one for each use.
 *
 * A use only counts up, so a read moves nothing.
 */
export class S3Fifo<T extends Queued> implements EvictionQueue<T> {
  readonly #small: ShardedQueue<T>;
  readonly #main: ShardedQueue<T>;
  readonly #ghosts: GhostTable;

  /** `shards` is a power of two. `charge` counts the heap bytes of shards and ghosts. */
  constructor(shards: number, charge: (heapBytes: number) => void) {
    this.#small = new ShardedQueue(shards, charge);
    this.#main = new ShardedQueue(shards, charge);
    this.#ghosts = new GhostTable(charge);
  }

  get size(): number {
    return this.#small.size + this.#main.size;
  }

  add(item: T): void {
    item.uses = 0;
    const isKnown = this.#ghosts.take(item.hash, this.size * GHOSTS_PER_ITEM);
    (isKnown ? this.#main : this.#small).push(item);
  }

  touch(item: T): void {
    if (item.uses < USES_MAX) item.uses += 1;
  }

  /** An item that comes back after its deletion, as after an invalidation, is wanted like an evicted one. */
  delete(item: T): void {
    if (this.#small.delete(item) || this.#main.delete(item)) this.#ghosts.add(item.hash);
    if (this.size === 0) this.#ghosts.clear();
  }

  pop(): T | undefined {
    if (this.size === 0) return undefined;
    this.#ghosts.reserve(this.size);
    let item: T | undefined;
    for (let looks = 0; item === undefined; looks++) {
      item = this.#isSmallFull ? this.#leaveSmall(looks) : this.#leaveMain(looks);
    }
    if (this.size === 0) this.#ghosts.clear();
    return item;
  }

  get #isSmallFull(): boolean {
    return this.#main.size === 0 || this.#small.size >= SMALL_SHARE * this.size;
  }

  /** Takes the oldest item; returns it if it is to be evicted. */
  #leaveSmall(looks: number): T | undefined {
    const item = this.#small.shift()!;
    if (item.uses > 0 && looks < LOOKS_MAX) {
      item.uses = 0;
      this.#main.push(item);
      return undefined;
    }
    this.#ghosts.add(item.hash);
    return item;
  }

  #leaveMain(looks: number): T | undefined {
    const item = this.#main.shift()!;
    if (item.uses === 0 || looks >= LOOKS_MAX) return item;
    item.uses -= 1;
    this.#main.push(item);
    return undefined;
  }
}

/**
 * Chosen by the recorded reads of a homeserver, at 3 to 80 % of the bytes that it read
 * (bench/eviction.ts): with a larger small queue fewer reads are hits where memory is
 * scarce, with a smaller one where it is not.
 */
const SMALL_SHARE = 0.07;
const GHOSTS_PER_ITEM = 0.7;
/** As in the paper: more uses would only delay the eviction of an item that was popular once. */
const USES_MAX = 3;
/** No eviction looks at more items, so no put waits, however many were used. */
const LOOKS_MAX = 32;
