import type { EventId, NewEvent, Position } from "../core/model/types.js";
import type { LateFill, SplitCache, WriteBack } from "../core/rules/split-cache.js";
import type { Tier } from "../tier/port.js";
import type { ServedHomeserver } from "./served-homeserver.js";

/** An entry in use is written again at most once in this time, which is short compared with its time to live. */
export const WRITE_BACK_INTERVAL_MS = 10 * 60 * 1000;

/** The clocks of entries' times: the tier uses the wall clock, the caches a monotonic clock. */
export interface TierClocks {
  /** A monotonic clock in milliseconds. */
  readonly clock: () => number;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
}

/** The shared tier as the caches use it. Its entries are late fills, which the fence checks. */
export class SharedTier {
  readonly #tier: Tier;
  readonly #clocks: TierClocks;
  /** Where the caches write entries that are in use. */
  readonly writeBack: WriteBack;

  constructor(tier: Tier, clocks: TierClocks, writeBackIntervalMs = WRITE_BACK_INTERVAL_MS) {
    this.#tier = tier;
    this.#clocks = clocks;
    this.writeBack = {
      intervalMs: writeBackIntervalMs,
      take: ({ name }, { event, asOf, expiresAtMs }) => {
        this.#tier.put(name, [{ event, asOf, expiresAtMs: expiresAtMs + this.#wallOffsetMs() }]);
      },
    };
  }

  /**
   * Fills the caches with the tier's entries of these events. Undefined if it need not
   * wait. Expired entries, and entries that the fence refuses, are not stored.
   */
  load(
    { name, state }: ServedHomeserver,
    eventIds: readonly EventId[],
    cache: SplitCache,
  ): Promise<void> | undefined {
    return this.#tier.get(name, eventIds)?.then((entries) => {
      const nowMs = this.#clocks.clock();
      const offsetMs = this.#wallOffsetMs();
      for (const { event, asOf, expiresAtMs } of entries) {
        const fill: LateFill = { event, asOf, expiresAtMs: expiresAtMs - offsetMs };
        if (fill.expiresAtMs > nowMs) cache.fillLate(state, fill, nowMs);
      }
    });
  }

  put({ name }: ServedHomeserver, events: readonly NewEvent[], asOf: Position, ttlMs: number): void {
    const expiresAtMs = this.#clocks.wallClock() + ttlMs;
    if (events.length > 0)
      this.#tier.put(
        name,
        events.map((event) => ({ event, asOf, expiresAtMs })),
      );
  }

  drop({ name }: ServedHomeserver, eventIds: readonly EventId[]): void {
    this.#tier.drop(name, eventIds);
  }

  #wallOffsetMs(): number {
    return this.#clocks.wallClock() - this.#clocks.clock();
  }
}
