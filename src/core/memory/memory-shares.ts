import type { CacheStats } from "../model/store.js";
import { BOUND_OF, type Bounded, type Bounds, type Cost, Usage } from "./cost.js";
import type { EvictionQueue, MakeQueue, Queued } from "./eviction-queue.js";

export type CacheName = "events" | "metadata";

/** The memory of one homeserver, in parts of the bounds of both caches. */
export interface MemoryQuota {
  /** What is protected from others; undefined: an equal share of what is not promised to others. */
  readonly min?: number | undefined;
  /** What it may use at most; undefined: whatever others leave free. */
  readonly max?: number | undefined;
}

/** One homeserver's part of both caches: what it uses, and its entries in the order of eviction. */
export class Holding<T extends Queued> {
  readonly quota: MemoryQuota;
  readonly queue: EvictionQueue<T>;
  readonly events = new Usage();
  readonly metadata = new Usage();
  /** Only the shares change it. */
  isIdle = false;

  /** The bytes of both caches that are protected for it. */
  readonly shareBytes: () => number;

  constructor(
    quota: MemoryQuota,
    makeQueue: (holding: Holding<T>) => EvictionQueue<T>,
    shareBytes: (holding: Holding<T>) => number,
  ) {
    this.quota = quota;
    this.queue = makeQueue(this);
    this.shareBytes = () => shareBytes(this);
  }
}

export interface MemorySharesOptions<T extends Queued> {
  readonly bounds: Readonly<Record<CacheName, Bounds>>;
  readonly makeQueue: MakeQueue;
  /** The sum of all promised shares, whether or not their homeservers hold something. */
  readonly promised?: number | undefined;
  /** Called for an entry that left its queue to make room. `mustFree`: its body must leave memory too. */
  readonly onEvict: (entry: T, mustFree: boolean) => void;
}

/** Room that a homeserver asks for, of what is bounded. */
interface Demand<T extends Queued> {
  readonly cache: CacheName;
  readonly bound: Bounded;
  readonly holding: Holding<T>;
  readonly amount: number;
}

/**
 * The memory of both caches and its division among homeservers, as `memory.low` of
 * Linux control groups divides it. Each homeserver has a share that is protected. It may
 * also use what others leave free. When a bound is reached, the homeserver that is most
 * above its share gives way, and its queue chooses the entry. So no homeserver loses an
 * entry to others while it uses no more than its share, but for FRUITLESS_MAX.
 *
 * An event that several homeservers hold is stored once and counts in full for each: its
 * body stays until the last of them has dropped its entry.
 */
export class MemoryShares<T extends Queued> {
  readonly #options: MemorySharesOptions<T>;
  readonly #used: Readonly<Record<CacheName, Usage>> = { events: new Usage(), metadata: new Usage() };
  readonly #evictions: Record<CacheName, number> = { events: 0, metadata: 0 };
  /** The homeservers that hold entries or ask for room. */
  readonly #holders = new Set<Holding<T>>();
  /** The share of a homeserver without a promised one; undefined: to be computed again. */
  #equalShare: number | undefined;
  #victim: Holding<T> | undefined;
  /** How many more entries are evicted before the holders are compared again. */
  #evictionsLeft = 0;

  constructor(options: MemorySharesOptions<T>) {
    this.#options = options;
  }

  newHolding(quota: MemoryQuota = {}): Holding<T> {
    return new Holding<T>(
      quota,
      (holding) => this.#options.makeQueue((heapBytes) => this.charge(holding, heapBytes)),
      (holding) => this.#shareBytes(holding),
    );
  }

  /** Makes room in a cache for one more item that costs `needed`, and for a homeserver to hold it. */
  makeRoom(cache: CacheName, needed: Cost, holding: Holding<T>): void {
    this.keepWithinMaximum(cache, needed, holding);
    const used = this.#used[cache];
    let fruitless = 0;
    for (;;) {
      const bound = used.exceeded(this.#options.bounds[cache], needed);
      if (bound === undefined) return;
      this.#note(holding);
      const demand: Demand<T> = { cache, bound, holding, amount: bound === "entries" ? 1 : needed[bound] };
      const victim = this.#chooseVictim(demand);
      const { entries } = used;
      if (victim === undefined || !this.#evictFrom(victim, cache, fruitless >= FRUITLESS_MAX)) return;
      // Other homeservers may still hold the event.
      fruitless = used.entries < entries ? 0 : fruitless + 1;
    }
  }

  /** Evicts entries of a homeserver until it may hold one more item of this cost. */
  keepWithinMaximum(cache: CacheName, cost: Cost, holding: Holding<T>): void {
    const { max } = holding.quota;
    if (max === undefined) return;
    while (holding[cache].exceeded(this.#options.bounds[cache], cost, max) !== undefined) {
      if (!this.#evictFrom(holding, cache, false)) return;
    }
  }

  /** Counts an item that is stored once, however many homeservers hold it. */
  stored(cache: CacheName, cost: Cost): void {
    this.#used[cache].add(cost);
  }

  removed(cache: CacheName, cost: Cost): void {
    this.#used[cache].remove(cost);
  }

  /** Counts an entry of a homeserver, and the event that it refers to. */
  held(holding: Holding<T>, eventCost: Cost, entryCost: Cost): void {
    holding.events.add(eventCost);
    holding.metadata.add(entryCost);
    this.#note(holding);
  }

  released(holding: Holding<T>, eventCost: Cost, entryCost: Cost): void {
    holding.events.remove(eventCost);
    holding.metadata.remove(entryCost);
    if (holding.metadata.entries > 0) return;
    this.#holders.delete(holding);
    this.#equalShare = undefined;
  }

  /** Counts heap bytes of a homeserver that belong to no entry; negative to give back. */
  charge(holding: Holding<T>, heapBytes: number): void {
    holding.metadata.charge(heapBytes);
    this.#used.metadata.charge(heapBytes);
  }

  stats(cache: CacheName): CacheStats & { readonly heapBytes: number } {
    const { entries, bytes, heapBytes } = this.#used[cache];
    const { bytesMax } = this.#options.bounds[cache];
    return { entries, bytes, bytesMax, heapBytes, evictions: this.#evictions[cache] };
  }

  /** An idle homeserver has no share, unless it was promised one. */
  setIdle(holding: Holding<T>, isIdle: boolean): void {
    if (holding.isIdle === isIdle) return;
    holding.isIdle = isIdle;
    this.#equalShare = undefined;
  }

  #shareBytes(holding: Holding<T>): number {
    const { events, metadata } = this.#options.bounds;
    return Math.floor(this.#shareOf(holding) * (events.bytesMax + metadata.bytesMax));
  }

  /** The homeserver holds something, or is about to. */
  #note(holding: Holding<T>): void {
    if (this.#holders.has(holding)) return;
    this.#holders.add(holding);
    this.#equalShare = undefined;
  }

  #evictFrom(holding: Holding<T>, cache: CacheName, mustFree: boolean): boolean {
    const entry = holding.queue.pop();
    if (entry === undefined) return false;
    this.#evictions[cache] += 1;
    this.#options.onEvict(entry, mustFree);
    return true;
  }

  #chooseVictim(demand: Demand<T>): Holding<T> | undefined {
    const current = this.#victim;
    if (current !== undefined && this.#evictionsLeft > 0 && this.#excess(current, demand) > 0) {
      this.#evictionsLeft -= 1;
      return current;
    }
    this.#evictionsLeft = this.#holders.size >> 4;
    this.#victim = undefined;
    let most = Number.NEGATIVE_INFINITY;
    for (const holding of this.#holders) {
      const excess = this.#excess(holding, demand);
      if (excess <= most) continue;
      this.#victim = holding;
      most = excess;
    }
    return this.#victim;
  }

  /** How much a homeserver uses above its share, with what it asks for. Without entries it cannot give way. */
  #excess(holding: Holding<T>, { cache, bound, holding: asking, amount }: Demand<T>): number {
    if (holding.queue.size === 0) return Number.NEGATIVE_INFINITY;
    const limit = this.#options.bounds[cache][BOUND_OF[bound]];
    const used = holding[cache][bound] + (holding === asking ? amount : 0);
    return used - this.#shareOf(holding) * limit;
  }

  #shareOf({ isIdle, quota }: Holding<T>): number {
    return quota.min ?? (isIdle ? 0 : this.#shareOfOthers());
  }

  /** What is not promised is divided among the active homeservers that hold entries. */
  #shareOfOthers(): number {
    if (this.#equalShare !== undefined) return this.#equalShare;
    let sharing = 0;
    for (const { isIdle, quota } of this.#holders) if (!isIdle && quota.min === undefined) sharing += 1;
    this.#equalShare = (1 - (this.#options.promised ?? 0)) / Math.max(1, sharing);
    return this.#equalShare;
  }
}

/**
 * For each body that must leave memory, so many entries may be evicted in vain, because
 * other homeservers hold the same events. Then a body goes although others lose it, also
 * others within their shares: a put of large bodies would otherwise walk through a whole
 * queue in one turn of the event loop.
 */
const FRUITLESS_MAX = 64;
