import type { Homeserver, Position } from "../core/model/types.js";
import type { TimeSlicer } from "../telemetry/time-slicer.js";
import { Largest } from "./largest.js";
import { ROWS_MAX } from "./limits.js";
import type { SubscriptionView } from "./sources.js";

export interface SubscriberFigures {
  readonly homeserver: string;
  readonly subscriber: string;
  readonly state: string;
  /** In changes; null if it is not known, for example in an epoch that has ended. */
  readonly lag: number | null;
}

export interface SubscriberList {
  readonly count: number;
  readonly lagMax: number;
  readonly slowest: readonly SubscriberFigures[];
}

/** Reads all subscriptions, some a slice. */
export async function readSubscribers(
  subscriptions: Iterable<SubscriptionView>,
  headOf: (homeserver: Homeserver) => Position | undefined,
  slicer: TimeSlicer,
): Promise<SubscriberList> {
  const slowest = new Largest<SubscriberFigures>(ROWS_MAX);
  let count = 0;
  let lagMax = 0;
  for (const { homeserver, subscriber, cursor, state } of subscriptions) {
    const lag = lagOf(cursor, headOf(homeserver));
    count += 1;
    lagMax = Math.max(lagMax, lag ?? 0);
    slowest.add({ homeserver, subscriber, state, lag }, lag ?? 0);
    if (slicer.isDue) await slicer.pause();
  }
  return { count, lagMax, slowest: slowest.items() };
}

/** The head may have been read before the cursor moved past it. */
function lagOf(cursor: Position | undefined, head: Position | undefined): number | null {
  if (cursor === undefined || head === undefined || cursor.epoch !== head.epoch) return null;
  return Math.max(0, head.sequence - cursor.sequence);
}
