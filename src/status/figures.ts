import type { CacheStats, ChangeKind } from "../core/model/store.js";
import type { HomeserverActivity } from "./activity.js";
import { missCount } from "./activity.js";
import { quantile } from "./histogram.js";
import type { LastChange } from "./last-changes.js";
import type { Span } from "./samples.js";
import type { StatusSources } from "./sources.js";
import type { SubscriberFigures, SubscriberList } from "./subscribers.js";

/** The state of the sidecar in numbers, as /status.json has them. Null: not known. */
export interface StatusFigures {
  readonly version: string;
  readonly nodeVersion: string;
  readonly uptimeSeconds: number;
  /** False while an operator has drained the sidecar, and while it stops. */
  readonly isReady: boolean;
  readonly total: Counts;
  readonly lastMinute: LiveFigures;
  readonly memory: MemoryFigures;
  readonly callsInFlight: number;
  readonly callsInFlightMax: number;
  readonly readStreams: number;
  readonly log: { readonly isUp: boolean; readonly memberCount: number | null };
  readonly tier: { readonly isUp: boolean } | null;
  readonly homeserverCount: number;
  /** The busiest. */
  readonly homeservers: readonly HomeserverFigures[];
  readonly subscriberCount: number;
  readonly lagMax: number;
  /** Those with the largest lag. */
  readonly subscribers: readonly SubscriberFigures[];
  /** The newest first. */
  readonly lastChanges: readonly LastChange[];
}

export interface Counts {
  readonly hits: number;
  readonly misses: number;
  readonly changes: Readonly<Record<ChangeKind, number>>;
}

export interface LiveFigures extends Counts {
  /** The time that these figures cover. */
  readonly seconds: number;
  readonly hitRate: number | null;
  readonly calls: number;
  readonly failedCalls: number;
  readonly p50Seconds: number | null;
  readonly p99Seconds: number | null;
}

export interface MemoryFigures {
  readonly budgetBytes: number;
  readonly events: CacheStats;
  readonly metadata: CacheStats;
  readonly logs: Use;
  readonly heap: Use;
}

export interface Use {
  readonly bytes: number;
  readonly bytesMax: number;
}

export interface HomeserverFigures {
  readonly name: string;
  readonly hits: number;
  readonly misses: number;
  readonly hitRate: number | null;
  readonly changes: number;
  readonly entries: number;
  readonly bytes: number;
  readonly subscribers: number;
  readonly position: { readonly epoch: string; readonly sequence: number } | null;
}

export interface Observed {
  readonly uptimeSeconds: number;
  readonly activity: HomeserverActivity;
  readonly live: Span;
  readonly bounds: readonly number[];
  readonly subscribers: SubscriberList;
}

export function figuresOf(sources: StatusSources, observed: Observed): StatusFigures {
  const { version, nodeVersion, store, log, tier, limits } = sources;
  const { activity, subscribers } = observed;
  const { isUp, memberCount } = log.status();
  const { callsInFlight, readStreams } = sources.usage();
  const stats = store.stats();
  return {
    version,
    nodeVersion,
    uptimeSeconds: observed.uptimeSeconds,
    isReady: sources.isReady(),
    total: activity.total,
    lastMinute: liveFigures(observed),
    memory: {
      budgetBytes: limits.memoryBytes,
      events: stats.events,
      metadata: stats.metadata,
      logs: { bytes: stats.logBytes, bytesMax: stats.logBytesMax },
      heap: { bytes: stats.heapBytes, bytesMax: stats.heapBytesMax },
    },
    callsInFlight,
    callsInFlightMax: limits.callsInFlightMax,
    readStreams,
    log: { isUp, memberCount: memberCount === 0 ? null : memberCount },
    tier: tier === undefined ? null : { isUp: tier.status().isUp },
    homeserverCount: activity.homeservers,
    homeservers: homeserverFigures(sources, activity),
    subscriberCount: subscribers.count,
    lagMax: subscribers.lagMax,
    subscribers: subscribers.slowest,
    lastChanges: sources.lastChanges(),
  };
}

function liveFigures({ live, bounds }: Observed): LiveFigures {
  const { seconds, activity, calls, failedCalls, latencyCounts } = live;
  const latency = { bounds, counts: latencyCounts };
  return {
    seconds,
    ...activity,
    hitRate: hitRate(activity),
    calls,
    failedCalls,
    p50Seconds: quantile(latency, 0.5) ?? null,
    p99Seconds: quantile(latency, 0.99) ?? null,
  };
}

function homeserverFigures({ store }: StatusSources, activity: HomeserverActivity): HomeserverFigures[] {
  const table = store.stats().homeservers;
  return activity.busiest.flatMap((name) => {
    const stats = table.get(name);
    if (stats === undefined) return [];
    const { hits, changes, entries, bytes, subscribers, position } = stats;
    const misses = missCount(stats);
    return {
      name,
      hits,
      misses,
      hitRate: hitRate({ hits, misses }),
      changes: Object.values(changes).reduce((sum, count) => sum + count, 0),
      entries,
      bytes,
      subscribers,
      position: position === undefined ? null : { epoch: position.epoch, sequence: position.sequence },
    };
  });
}

/** The share of lookups that hit; null without lookups. */
export function hitRate({ hits, misses }: { readonly hits: number; readonly misses: number }): number | null {
  return hits + misses === 0 ? null : hits / (hits + misses);
}
