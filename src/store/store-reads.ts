import { CacheError } from "../core/model/errors.js";
import type { ReadRequest, TakeEvents } from "../core/model/store.js";
import type { Position } from "../core/model/types.js";
import type { SplitCache } from "../core/rules/split-cache.js";
import type { ServedHomeserver } from "./served-homeserver.js";
import type { SharedTier } from "./shared-tier.js";

export interface StoreReadsOptions {
  readonly cache: SplitCache;
  readonly tier: SharedTier | undefined;
  /** A monotonic clock in milliseconds. */
  readonly clock: () => number;
}

/**
 * Performs reads. A read waits until the copy of the log is current, looks in the
 * caches, and loads absent entries from the tier. If it need not wait, it calls `take`
 * before it returns.
 */
export class StoreReads {
  readonly #cache: SplitCache;
  readonly #tier: SharedTier | undefined;
  readonly #clock: () => number;

  constructor({ cache, tier, clock }: StoreReadsOptions) {
    this.#cache = cache;
    this.#tier = tier;
    this.#clock = clock;
  }

  /** As `EventStore.getEvents`. */
  getEvents(homeserver: ServedHomeserver, request: ReadRequest, take: TakeEvents): Promise<void> | undefined {
    const waiting = whenCurrent(homeserver, request.minPosition);
    return waiting === undefined
      ? this.#read(homeserver, request, take)
      : waiting.then(() => this.#read(homeserver, request, take));
  }

  #read(homeserver: ServedHomeserver, request: ReadRequest, take: TakeEvents): Promise<void> | undefined {
    if (this.#tier === undefined || !homeserver.log.isCurrent()) {
      this.#lookUp(homeserver, request, take);
      return undefined;
    }
    const absent = this.#cache.getEventsOrAbsent(homeserver.state, request, this.#clock(), take);
    if (absent === undefined) return undefined;
    const loading = this.#tier.load(homeserver, absent, this.#cache);
    if (loading !== undefined) return loading.then(() => this.#lookUp(homeserver, request, take));
    this.#lookUp(homeserver, request, take);
    return undefined;
  }

  /** Checks that the copy is current, takes its position and looks up the events, in one synchronous step. */
  #lookUp({ log, state }: ServedHomeserver, request: ReadRequest, take: TakeEvents): void {
    if (log.isCurrent()) {
      this.#cache.getEvents(state, request, this.#clock(), take);
      return;
    }
    if (request.eventIds.length === 0) throw unverified();
    state.counters.misses.unverified += request.eventIds.length;
    take({ position: undefined, events: request.eventIds.map(() => undefined) });
  }
}

/**
 * Waits until the homeserver's copy of the log is current and has applied
 * `position`, at most for the time limit of the log. Undefined if it need not wait.
 */
export function whenCurrent(
  { log }: ServedHomeserver,
  position: Position | undefined,
): Promise<void> | undefined {
  const ready = log.isCurrent() ? undefined : log.ready();
  if (position === undefined) return ready;
  return ready === undefined ? log.catchUp(position) : ready.then(() => log.catchUp(position));
}

export function unverified(): CacheError {
  return new CacheError(
    "unavailable",
    "the sidecar cannot verify that its copy of the invalidation log is current",
  );
}
