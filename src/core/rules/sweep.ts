import type { HomeserverMetadata, MetadataCache, MetadataEntry } from "../memory/metadata-cache.js";

/**
 * Removes what no read can reach any more: entries of purged rooms and
 * homeservers, expired entries, entries whose body was evicted, and bodies
 * without an entry. It walks all entries in slices, and only if some may be dead.
 */
export class Sweep {
  readonly #metadata: MetadataCache;
  /** Metadata of purged homeservers and ended epochs: all of it is dead. */
  #discarded: HomeserverMetadata[] = [];
  #deadExpected = false;
  #nextExpiryMs = Number.POSITIVE_INFINITY;
  #pass: Generator<void, void, undefined> | undefined;
  #swept = 0;

  constructor(metadata: MetadataCache) {
    this.#metadata = metadata;
  }

  /** Entries removed so far. */
  get swept(): number {
    return this.#swept;
  }

  /** Reports that entries died in place. */
  expectDead(count: number): void {
    if (count > 0) this.#deadExpected = true;
  }

  /** Reports that an entry was put which will expire. */
  expectExpiry(expiresAtMs: number): void {
    this.#nextExpiryMs = Math.min(this.#nextExpiryMs, expiresAtMs);
  }

  /** Takes over metadata without any reference. */
  discard(metadata: HomeserverMetadata): void {
    if (metadata.entries.size > EAGER_ENTRIES_MAX) this.#discarded.push(metadata);
    else for (const entry of metadata.entries.values()) this.#drop(entry);
  }

  /** Starts a pass over `live` if entries may be dead and no pass is running. */
  begin(live: () => Iterable<HomeserverMetadata>, nowMs: number): void {
    const needed = this.#deadExpected || this.#discarded.length > 0 || nowMs >= this.#nextExpiryMs;
    if (this.#pass !== undefined || !needed) return;
    this.#pass = this.#walk(live, nowMs);
  }

  /** Works until `isOver` returns true; it is called every few entries. Returns whether work is left. */
  slice(isOver: () => boolean): boolean {
    if (this.#pass === undefined) return false;
    do {
      if (this.#pass.next().done === true) {
        this.#pass = undefined;
        return false;
      }
    } while (!isOver());
    return true;
  }

  *#walk(live: () => Iterable<HomeserverMetadata>, nowMs: number): Generator<void, void, undefined> {
    let steps = 0;
    for (let dead = this.#discarded.pop(); dead !== undefined; dead = this.#discarded.pop()) {
      for (const entry of dead.entries.values()) {
        this.#drop(entry);
        if (++steps % ENTRIES_PER_STEP === 0) yield;
      }
    }
    this.#deadExpected = false;
    this.#nextExpiryMs = Number.POSITIVE_INFINITY;
    for (const metadata of [...live()]) {
      for (const entry of metadata.entries.values()) {
        if (this.#metadata.deadBecause(entry, nowMs) !== undefined) this.#drop(entry);
        else this.expectExpiry(entry.expiresAtMs);
        if (++steps % ENTRIES_PER_STEP === 0) yield;
      }
    }
  }

  #drop(entry: MetadataEntry): void {
    this.#metadata.drop(entry);
    this.#swept += 1;
  }
}

/** So few entries are dropped at once: a queue would cost more than the entries. */
const EAGER_ENTRIES_MAX = 64;
/** Reading the clock costs more than an entry. */
const ENTRIES_PER_STEP = 32;
