import { collectDefaultMetrics, type Registry } from "prom-client";
import type { CacheStats, StoreStats } from "../core/model/store.js";
import type { Log as InvalidationLog } from "../log/port.js";
import type { TransportUsage } from "../rpc/grpc-server.js";
import type { Tier, TierStatus } from "../tier/port.js";
import { registerHomeserverMetrics, snakeCase } from "./homeserver-metrics.js";
import { type Collect, MetricFamilies, only, type Series } from "./metric-families.js";
import type { TimeSlicer } from "./time-slicer.js";

/** The limits that are shown next to their usage. */
export interface CapacityLimits {
  readonly memoryBytes: number;
  readonly callsInFlightMax: number;
  readonly bytesInFlightMax: number;
  readonly readStreamsMax: number;
  readonly subscribersMax: number;
  readonly homeserversMax: number;
}

export interface MetricsSources {
  /** The store's counts, read at each scrape so that calls do no work for metrics. */
  readonly stats: () => StoreStats;
  readonly usage: () => TransportUsage;
  readonly backends: BackendStatus;
  readonly limits: CapacityLimits;
  /** Homeservers that always have their own series. If empty, the busiest homeservers have. */
  readonly configuredHomeservers: readonly string[];
  readonly droppedLogLines: () => number;
  readonly version: string;
  readonly nodeVersion: string;
}

export interface Metrics {
  /** More families may be added. */
  readonly families: MetricFamilies;
  /** Reads all homeservers; called before the families are collected. */
  readonly prepare: (slicer: TimeSlicer) => Promise<void>;
}

/**
 * Creates the metrics of the store, the transport and the log. No label contains a room, an event or a
 * user.
 */
export function createMetrics(sources: MetricsSources): Metrics {
  const families = new MetricFamilies();
  const prepare = registerHomeserverMetrics(
    families,
    () => sources.stats().homeservers,
    new Set(sources.configuredHomeservers),
  );
  registerCaches(families, sources.stats);
  registerBackends(families, sources.backends);
  registerTransport(families, sources);
  families.counter(
    "splitcache_stderr_lines_dropped_total",
    "Log lines that were dropped, because standard error was full, closed or not read",
    [],
    () => only(sources.droppedLogLines()),
  );
  families.gauge(
    "splitcache_build_info",
    "Always 1; the labels are the versions of splitcache and Node.js",
    ["version", "node"],
    () => [[[sources.version, sources.nodeVersion], 1]],
  );
  return { families, prepare };
}

/** Registers prom-client's metrics of the process: CPU, memory, event loop lag, garbage collection. */
export function registerProcessMetrics(registry: Registry): void {
  collectDefaultMetrics({ register: registry });
}

const CACHE_GAUGES: readonly (readonly [name: string, help: string, count: (stats: CacheStats) => number])[] =
  [
    ["splitcache_cache_entries", "Entries in each cache", (cache) => cache.entries],
    ["splitcache_cache_bytes", "Memory of each cache in bytes, heap included", (cache) => cache.bytes],
    ["splitcache_cache_max_bytes", "Limit of that memory in bytes", (cache) => cache.bytesMax],
  ];

function registerCaches(families: MetricFamilies, stats: () => StoreStats): void {
  const forEachCache = (count: (cache: CacheStats) => number): Collect => {
    return () => {
      const { events, metadata } = stats();
      return [
        [["events"], count(events)],
        [["metadata"], count(metadata)],
      ];
    };
  };
  for (const [name, help, count] of CACHE_GAUGES) families.gauge(name, help, ["cache"], forEachCache(count));
  families.counter(
    "splitcache_evictions_total",
    "Entries that were evicted to stay within the limits of the cache",
    ["cache"],
    forEachCache((cache) => cache.evictions),
  );
  families.counter("splitcache_swept_entries_total", "Entries that the background sweep removed", [], () =>
    only(stats().swept),
  );
  for (const [name, help, read] of STORE_GAUGES) families.gauge(name, help, [], () => only(read(stats())));
}

const STORE_GAUGES: readonly (readonly [name: string, help: string, read: (stats: StoreStats) => number])[] =
  [
    [
      "splitcache_all_logs_bytes",
      "Memory of the copies of all invalidation logs together in bytes",
      (stats) => stats.logBytes,
    ],
    ["splitcache_all_logs_max_bytes", "Limit of that memory in bytes", (stats) => stats.logBytesMax],
    [
      "splitcache_heap_bytes",
      "JavaScript heap that the caches and logs use, in bytes as counted",
      (stats) => stats.heapBytes,
    ],
    ["splitcache_heap_max_bytes", "Limit of that heap in bytes", (stats) => stats.heapBytesMax],
  ];

/** The state of the invalidation log and the tier, for health and metrics. */
export interface BackendStatus {
  readonly invalidationLog: Pick<InvalidationLog, "status">;
  readonly tier: Pick<Tier, "status"> | undefined;
}

/** Without a tier, its metrics have no series. */
function registerBackends(families: MetricFamilies, { invalidationLog, tier }: BackendStatus): void {
  families.gauge(
    "splitcache_log_up",
    "1 while the invalidation log is available and this sidecar holds a live lease on it; else 0: reads miss and changes are refused",
    [],
    () => only(Number(invalidationLog.status().isUp)),
  );
  families.counter(
    "splitcache_log_errors_total",
    "Failed operations of the invalidation log, by cause",
    ["cause"],
    () => byKey(invalidationLog.status().errors),
  );
  families.gauge("splitcache_log_members", "Sidecars that follow the log, this one included", [], () => {
    const { memberCount } = invalidationLog.status();
    return memberCount === 0 ? [] : only(memberCount);
  });
  families.gauge(
    "splitcache_tier_up",
    "1 while the tier is available, else 0; no series without a tier",
    [],
    () => (tier === undefined ? [] : only(Number(tier.status().isUp))),
  );
  families.counter(
    "splitcache_tier_errors_total",
    "Failed operations and rejected entries of the tier, by cause",
    ["cause"],
    () => byKey(tier?.status().errors ?? {}),
  );
  for (const [name, help, count] of TIER_COUNTERS) {
    families.counter(name, help, [], () => (tier === undefined ? [] : only(tier.status().entries[count])));
  }
}

const TIER_COUNTERS: readonly (readonly [name: string, help: string, count: keyof TierStatus["entries"]])[] =
  [
    ["splitcache_tier_lookups_total", "Entries that reads requested from the tier", "requested"],
    ["splitcache_tier_hits_total", "Entries that the tier returned in time", "found"],
    ["splitcache_tier_writes_total", "Entries that were written to the tier", "written"],
    [
      "splitcache_tier_writes_dropped_total",
      "Entries that were not written to the tier, because writes did not keep up",
      "dropped",
    ],
  ];

function byKey(counts: Readonly<Record<string, number>>): Series[] {
  return Object.entries(counts).map(([key, count]) => [[snakeCase(key)], count]);
}

const USAGE_GAUGES: readonly (readonly [name: string, help: string, used: keyof TransportUsage])[] = [
  [
    "splitcache_calls_in_flight",
    "Unary calls whose headers have arrived and whose reply has not been sent",
    "callsInFlight",
  ],
  [
    "splitcache_in_flight_bytes",
    "Bytes of the requests and unsent replies of calls in flight",
    "bytesInFlight",
  ],
  ["splitcache_read_streams", "Open GetEventsStream calls", "readStreams"],
  ["splitcache_subscription_bytes", "Bytes of batches being sent to subscribers", "subscriptionBytes"],
  ["splitcache_auxiliary_calls", "Open calls of health and reflection", "auxiliaryCalls"],
];

const LIMIT_GAUGES: readonly (readonly [name: string, help: string, limit: keyof CapacityLimits])[] = [
  [
    "splitcache_memory_budget_bytes",
    "Memory budget of events, metadata and logs together in bytes",
    "memoryBytes",
  ],
  ["splitcache_calls_in_flight_max", "Limit of unary calls in flight", "callsInFlightMax"],
  ["splitcache_in_flight_max_bytes", "Limit of the bytes of requests and unsent replies", "bytesInFlightMax"],
  ["splitcache_read_streams_max", "Limit of open GetEventsStream calls", "readStreamsMax"],
  ["splitcache_subscribers_max", "Limit of open subscriptions of all homeservers", "subscribersMax"],
  ["splitcache_homeservers_max", "Limit of homeservers", "homeserversMax"],
];

function registerTransport(families: MetricFamilies, { usage, limits }: MetricsSources): void {
  for (const [name, help, used] of USAGE_GAUGES) families.gauge(name, help, [], () => only(usage()[used]));
  for (const [name, help, limit] of LIMIT_GAUGES) families.gauge(name, help, [], () => only(limits[limit]));
}
