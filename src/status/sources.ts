import type { EventStore } from "../core/model/store.js";
import type { Homeserver, Position } from "../core/model/types.js";
import type { LastChange } from "./last-changes.js";

/** Everything that the status page reads. */
export interface StatusSources {
  readonly version: string;
  readonly nodeVersion: string;
  readonly store: Pick<EventStore, "stats">;
  readonly subscriptions: Iterable<SubscriptionView> & { readonly size: number };
  /** Reads the counts of unary calls and of requests on read streams. */
  readonly calls: () => Promise<CallCounts>;
  readonly usage: () => { readonly callsInFlight: number; readonly readStreams: number };
  readonly isReady: () => boolean;
  readonly log: { status(): { readonly isUp: boolean; readonly memberCount: number } };
  readonly tier: { status(): { readonly isUp: boolean } } | undefined;
  readonly lastChanges: () => readonly LastChange[];
  readonly limits: StatusLimits;
}

/** The members of the invalidation log: see `LogMembers` in src/log/port.ts. */
export interface MemberSource {
  list(page: { readonly afterId: string; readonly limit: number }): Promise<readonly MemberView[]>;
}

export interface MemberView {
  readonly id: string;
  readonly isSelf: boolean;
  readonly isLive: boolean;
  /** Milliseconds since 1970. */
  readonly joinedAtMs: number | undefined;
  readonly homeservers: number;
  readonly lag: number;
}

export interface StatusLimits {
  readonly memoryBytes: number;
  readonly callsInFlightMax: number;
}

/** The part of a subscription that is shown. */
export interface SubscriptionView {
  readonly homeserver: Homeserver;
  readonly subscriber: string;
  readonly cursor: Position | undefined;
  readonly state: string;
}

/** Unary calls of the cache since the start. */
export interface CallCounts {
  readonly ended: number;
  readonly failed: number;
  /** How long they took. */
  readonly latency: Histogram;
}

/** Counts by upper bound: `counts` has one more element than `bounds`, for larger values. */
export interface Histogram {
  readonly bounds: readonly number[];
  readonly counts: readonly number[];
}
