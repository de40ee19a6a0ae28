import type { Quotas } from "../core/model/quotas.js";
import type { StoreObserver } from "../core/model/store.js";
import type { Log } from "../log/port.js";
import type { Tier } from "../tier/port.js";

export interface EventStoreOptions {
  /** The invalidation logs. The store closes it. */
  readonly invalidationLog: Log;
  /** The shared tier, if there is one. The store closes it. */
  readonly tier?: Tier | undefined;
  /** The budget of bodies, metadata and logs together, including their overhead. */
  readonly memoryBytes: number;
  /** The part of the budget that may be in the JavaScript heap. */
  readonly heapBytesMax: number;
  readonly observer: StoreObserver;
  /** A monotonic clock in milliseconds. */
  readonly clock: () => number;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
  readonly metadataTtlMs?: number;
  /** The interval in which an entry in use is written to the tier again. */
  readonly writeBackIntervalMs?: number;
  readonly progressIntervalMs?: number;
  /** The limits of homeservers. */
  readonly quotas?: Quotas;
  readonly homeserversMax?: number;
  readonly subscribersMax?: number;
  readonly sweepIntervalMs?: number;
}
