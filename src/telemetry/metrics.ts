import { collectDefaultMetrics, type Registry } from "prom-client";
import type { CacheStats, StoreStats } from "../core/model/store.js";
import type { Log as InvalidationLog } from "../log/port.js";
import type { TransportUsage } from "../rpc/grpc-server.js";
import type { Tier } from "../tier/port.js";
import { registerHomeserverMetrics, snakeCase } from "./homeserver-metrics.js";
import { type Collect, MetricFamilies, only, type Series } from "./metric-families.js";
import type { Pace } from "./pace.js";

/** Bounds that are shown beside what is used of them. */
export interface CapacityLimits {
  readonly memoryBytes: number;
  readonly callsInFlightMax: number;
  readonly bytesInFlightMax: number;
  readonly readStreamsMax: number;
  readonly subscribersMax: number;
  readonly homeserversMax: number;
}

export interface MetricsSources {
  /** The store's counts; asked for when scraped, so that no call pays for metrics. */
  readonly stats: () => StoreStats;
  readonly usage: () => TransportUsage;
  readonly backends: BackendStatus;
  readonly limits: CapacityLimits;
  /** Those that always have series of their own; none: the busiest have. */
  readonly configuredHomeservers: readonly string[];
  readonly droppedLogLines: () => number;
  readonly version: string;
  readonly nodeVersion: string;
}

export interface Metrics {
  /** Others may be added to them. */
  readonly families: MetricFamilies;
  /** Reads all homeservers, which comes before the families are asked. */
  readonly prepare: (pace: Pace) => Promise<void>;
}

/**
 * Makes the metrics of the store, the transport and the log. No label ever holds a room, an event or a
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
    "splitcache_log_lines_dropped_total",
    "Log lines that were dropped, because standard error was full, closed or not read",
    [],
    () => only(sources.droppedLogLines()),
  );
  families.gauge("splitcache_build_info", "Always 1; the labels say what runs", ["version", "node"], () => [
    [[sources.version, sources.nodeVersion], 1],
  ]);
  return { families, prepare };
}

/** Registers prom-client's metrics of the process: CPU, memory, event loop lag, garbage collection. */
export function registerProcessMetrics(registry: Registry): void {
  collectDefaultMetrics({ register: registry });
}

const CACHE_GAUGES: readonly (readonly [name: string, help: string, count: (stats: CacheStats) => number])[] =
  [
    ["splitcache_cache_entries", "Entries of each cache", (cache) => cache.entries],
    ["splitcache_cache_bytes", "What the entries of each cache cost, heap included", (cache) => cache.bytes],
    ["splitcache_cache_bytes_max", "Bound of what the entries may cost", (cache) => cache.bytesMax],
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
    "Entries dropped to stay within the bounds",
    ["cache"],
    forEachCache((cache) => cache.evictions),
  );
  families.counter("splitcache_swept_total", "Entries that the background sweep removed", [], () =>
    only(stats().swept),
  );
  for (const [name, help, read] of STORE_GAUGES) families.gauge(name, help, [], () => only(read(stats())));
}

const STORE_GAUGES: readonly (readonly [name: string, help: string, read: (stats: StoreStats) => number])[] =
  [
    ["splitcache_logs_bytes", "What all invalidation logs cost", (stats) => stats.logBytes],
    ["splitcache_logs_bytes_max", "Bound of all logs together", (stats) => stats.logBytesMax],
    ["splitcache_heap_bytes", "JavaScript heap that entries are counted to use", (stats) => stats.heapBytes],
    ["splitcache_heap_bytes_max", "Bound of the heap that entries may use", (stats) => stats.heapBytesMax],
  ];

/** The state of what the store stands on, for health and metrics. */
export interface BackendStatus {
  readonly invalidationLog: Pick<InvalidationLog, "status">;
  readonly tier: Pick<Tier, "status"> | undefined;
}

/** Of the tier there are no series without one. */
function registerBackends(families: MetricFamilies, { invalidationLog, tier }: BackendStatus): void {
  families.gauge(
    "splitcache_log_up",
    "1 while the invalidation log answers and this sidecar holds a live lease on it; else 0: reads miss and changes are refused",
    [],
    () => only(Number(invalidationLog.status().isUp)),
  );
  families.counter(
    "splitcache_log_errors_total",
    "Failed operations of the invalidation log",
    ["cause"],
    () => byKey(invalidationLog.status().errors),
  );
  families.gauge("splitcache_log_members", "Sidecars that follow the log, this one included", [], () => {
    const { memberCount } = invalidationLog.status();
    return memberCount === 0 ? [] : only(memberCount);
  });
  families.gauge(
    "splitcache_tier_up",
    "1 while the tier answers, else 0; no series without a tier",
    [],
    () => (tier === undefined ? [] : only(Number(tier.status().isUp))),
  );
  families.counter(
    "splitcache_tier_errors_total",
    "Failed operations and refused entries of the tier",
    ["cause"],
    () => byKey(tier?.status().errors ?? {}),
  );
  families.counter(
    "splitcache_tier_entries_total",
    "Entries of the tier: asked for and found by reads, written, and dropped because writes did not keep up",
    ["kind"],
    () => byKey(tier?.status().entries ?? {}),
  );
}

function byKey(counts: Readonly<Record<string, number>>): Series[] {
  return Object.entries(counts).map(([key, count]) => [[snakeCase(key)], count]);
}

const USAGE_GAUGES: readonly (readonly [name: string, help: string, used: keyof TransportUsage])[] = [
  [
    "splitcache_calls_in_flight",
    "Unary calls, from their headers until their reply has left",
    "callsInFlight",
  ],
  ["splitcache_bytes_in_flight", "Bytes of requests and unsent replies", "bytesInFlight"],
  ["splitcache_read_streams", "Open GetEventsStream calls", "readStreams"],
  ["splitcache_subscription_bytes", "Bytes of batches on their way to subscribers", "subscriptionBytes"],
  ["splitcache_auxiliary_calls", "Calls of health and reflection", "auxiliaryCalls"],
];

const LIMIT_GAUGES: readonly (readonly [name: string, help: string, limit: keyof CapacityLimits])[] = [
  ["splitcache_memory_budget_bytes", "Budget of events, metadata and logs together", "memoryBytes"],
  ["splitcache_calls_in_flight_max", "Bound of calls in flight", "callsInFlightMax"],
  ["splitcache_bytes_in_flight_max", "Bound of bytes in flight", "bytesInFlightMax"],
  ["splitcache_read_streams_max", "Bound of open GetEventsStream calls", "readStreamsMax"],
  ["splitcache_subscribers_max", "Bound of all subscribers together", "subscribersMax"],
  ["splitcache_homeservers_max", "Bound of homeservers", "homeserversMax"],
];

function registerTransport(families: MetricFamilies, { usage, limits }: MetricsSources): void {
  for (const [name, help, used] of USAGE_GAUGES) families.gauge(name, help, [], () => only(usage()[used]));
  for (const [name, help, limit] of LIMIT_GAUGES) families.gauge(name, help, [], () => only(limits[limit]));
}
