/** An item that a queue can hold. */
export interface Queued {
  /** Any number that differs between items; spreads them over shards. */
  readonly hash: number;
  /** How often it was used since the queue last considered it, up to a small number. Only the queue changes it. */
  uses: number;
}

/**
 * The entries of one homeserver in the order in which they are evicted. Which entry is
 * evicted is decided here; of which homeserver, in memory-shares.ts.
 */
export interface EvictionQueue<T extends Queued> {
  readonly size: number;
  /** Adds an item that is not held. */
  add(item: T): void;
  /** Counts a use of a held item. */
  touch(item: T): void;
  delete(item: T): void;
  /** Removes and returns the item to evict; undefined if the queue is empty. */
  pop(): T | undefined;
}

/** Makes a queue. `charge` counts its own heap bytes, as far as they are not in the cost of items. */
export type MakeQueue = <T extends Queued>(charge: (heapBytes: number) => void) => EvictionQueue<T>;
