/**
 * A Map that grows without pauses.
 *
 * A built-in Map of a million entries stops the process for tens of milliseconds
 * whenever it doubles or halves, because it moves all its entries at once. This is
 * an extendible hash table of small Maps: only a full Map is split, so no
 * operation moves more than a few thousand entries. A small table is a single Map.
 */
export class ExtendibleHashMap<K extends string, V> {
  #directory: Shard<K, V>[] = [{ depth: 0, entries: new Map() }];
  /** The directory has 2^depth slots; the low bits of a key's hash select its slot. */
  #depth = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(key: K): V | undefined {
    return this.#shardOf(key).entries.get(key);
  }

  set(key: K, value: V): void {
    const shard = this.#shardOf(key);
    const before = shard.entries.size;
    shard.entries.set(key, value);
    this.#size += shard.entries.size - before;
    if (shard.entries.size > SHARD_ENTRIES_MAX && shard.depth < DEPTH_MAX) this.#split(shard, key);
  }

  delete(key: K): boolean {
    const deleted = this.#shardOf(key).entries.delete(key);
    if (deleted) this.#size -= 1;
    return deleted;
  }

  /**
   * The values. The map may change during the iteration. Each value that is present
   * throughout is yielded, since a split moves entries to a later slot only.
   */
  *values(): Generator<V, void, undefined> {
    for (let place = 0; place < this.#directory.length; place++) {
      const shard = this.#directory[place]!;
      // A shard shallower than the directory fills several slots: yield it at the first one.
      if (place < 2 ** shard.depth) yield* shard.entries.values();
    }
  }

  #shardOf(key: K): Shard<K, V> {
    if (this.#depth === 0) return this.#directory[0]!;
    return this.#directory[hashOf(key) & (this.#directory.length - 1)]!;
  }

  #split(shard: Shard<K, V>, key: K): void {
    if (shard.depth === this.#depth) {
      this.#directory = this.#directory.concat(this.#directory);
      this.#depth += 1;
    }
    const bit = 2 ** shard.depth;
    const upper: Shard<K, V> = { depth: shard.depth + 1, entries: new Map() };
    shard.depth += 1;
    for (const [candidate, value] of shard.entries) {
      if ((hashOf(candidate) & bit) === 0) continue;
      upper.entries.set(candidate, value);
      shard.entries.delete(candidate);
    }
    const firstUpperPlace = (hashOf(key) & (bit - 1)) | bit;
    for (let place = firstUpperPlace; place < this.#directory.length; place += 2 * bit) {
      this.#directory[place] = upper;
    }
  }
}

interface Shard<K, V> {
  /** How many low bits of the hash all keys of this shard share. */
  depth: number;
  readonly entries: Map<K, V>;
}

/** Moving this many entries takes less than a millisecond; 32,768 made gets a tenth faster, and stalls of 10 ms. */
const SHARD_ENTRIES_MAX = 4096;
/** 65,536 slots. Keys that were chosen to collide only enlarge one shard. */
const DEPTH_MAX = 16;
/** An ID of room versions 3 and up is `$` and a hash: any nine of its characters are 54 random bits. */
const HASH_ID_LENGTH = 44;
const HASH_ID_STEP = 5;
/** Enough characters to distinguish chosen IDs, which may differ in a single character. */
const HASHED_CHARACTERS = 48;

/** FNV-1a with a final mix, so that the low bits are good; over a few characters where they are random. */
export function hashOf(key: string): number {
  let hash = 0x811c9dc5;
  const step = key.length === HASH_ID_LENGTH ? HASH_ID_STEP : 1;
  for (let at = Math.min(key.length, HASHED_CHARACTERS) - 1; at >= 0; at -= step) {
    hash = Math.imul(hash ^ key.charCodeAt(at), 0x01000193);
  }
  return hash ^ (hash >>> 15);
}
