import { collectDefaultMetrics, type Registry } from "prom-client";
import type { CacheStats, StoreStats } from "../core/store.js";
import type { TransportUsage } from "../rpc/server.js";
import { registerHomeserverMetrics } from "./homeserver-metrics.js";
import { type Collect, type MetricMaker, makerOf, sharedInTurn } from "./metric-maker.js";

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
  readonly limits: CapacityLimits;
  readonly version: string;
  readonly nodeVersion: string;
}

/**
 * Registers the metrics of the store and the transport. No label ever holds a
 * room, an event or a user.
 */
export function registerMetrics(registry: Registry, sources: MetricsSources): void {
  const make = makerOf(registry);
  const stats = sharedInTurn(sources.stats);
  registerHomeserverMetrics(make, stats);
  registerCaches(make, stats);
  registerTransport(make, sources);
  make.gauge("splitcache_build_info", "Always 1; the labels say what runs", ["version", "node"], (set) =>
    set([sources.version, sources.nodeVersion], 1),
  );
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

function registerCaches({ counter, gauge }: MetricMaker, stats: () => StoreStats): void {
  const forEachCache = (count: (cache: CacheStats) => number): Collect => {
    return (set) => {
      const { events, metadata } = stats();
      set(["events"], count(events));
      set(["metadata"], count(metadata));
    };
  };
  for (const [name, help, count] of CACHE_GAUGES) gauge(name, help, ["cache"], forEachCache(count));
  counter(
    "splitcache_evictions_total",
    "Entries dropped to stay within the bounds",
    ["cache"],
    forEachCache((cache) => cache.evictions),
  );
  counter("splitcache_swept_total", "Entries that the background sweep removed", [], (set) =>
    set([], stats().swept),
  );
  gauge("splitcache_logs_bytes", "What all invalidation logs cost", [], (set) => set([], stats().logBytes));
  gauge("splitcache_logs_bytes_max", "Bound of all logs together", [], (set) => set([], stats().logBytesMax));
  gauge("splitcache_heap_bytes", "JavaScript heap that entries are counted to use", [], (set) => {
    set([], stats().heapBytes);
  });
  gauge("splitcache_heap_bytes_max", "Bound of the heap that entries may use", [], (set) => {
    set([], stats().heapBytesMax);
  });
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
  ["splitcache_foreign_calls", "Calls of health and reflection", "foreignCalls"],
];

const LIMIT_GAUGES: readonly (readonly [name: string, help: string, limit: keyof CapacityLimits])[] = [
  ["splitcache_memory_budget_bytes", "Budget of events, metadata and logs together", "memoryBytes"],
  ["splitcache_calls_in_flight_max", "Bound of calls in flight", "callsInFlightMax"],
  ["splitcache_bytes_in_flight_max", "Bound of bytes in flight", "bytesInFlightMax"],
  ["splitcache_read_streams_max", "Bound of open GetEventsStream calls", "readStreamsMax"],
  ["splitcache_subscribers_max", "Bound of all subscribers together", "subscribersMax"],
  ["splitcache_homeservers_max", "Bound of homeservers", "homeserversMax"],
];

function registerTransport({ gauge }: MetricMaker, { usage, limits }: MetricsSources): void {
  for (const [name, help, used] of USAGE_GAUGES) gauge(name, help, [], (set) => set([], usage()[used]));
  for (const [name, help, limit] of LIMIT_GAUGES) gauge(name, help, [], (set) => set([], limits[limit]));
}
