import { newCounters } from "../core/model/counters.js";
import type { HomeserverStats, HomeserverStatsTable } from "../core/model/store.js";
import { type Column, HomeserverSeries } from "./homeserver-series.js";
import { type MetricFamilies, only, type Series } from "./metric-families.js";
import type { TimeSlicer } from "./time-slicer.js";

/**
 * Registers the metrics that are counted per homeserver. The values of the label `server_name` are
 * bounded: the configured homeservers, or without any the busiest hundred, and `_other` for the sum of all
 * others. When the store forgets a homeserver, its series end. Returns the function that reads all
 * homeservers, to be called before each scrape.
 */
export function registerHomeserverMetrics(
  families: MetricFamilies,
  homeservers: () => HomeserverStatsTable,
  configured: ReadonlySet<string>,
): (slicer: TimeSlicer) => Promise<void> {
  const columns: Column[] = [];
  const seriesOf = function* (from: number, labelValues: readonly string[][]): Generator<Series> {
    for (const { serverName, values } of series.rows) {
      for (const [at, own] of labelValues.entries()) yield [[serverName, ...own], values[from + at]!];
    }
  };
  for (const [name, help, read] of HOMESERVER_COUNTERS) {
    const from = columns.push({ isCounter: true, isActivity: read === hitsOf, read }) - 1;
    families.counter(name, help, ["server_name"], () => seriesOf(from, [[]]));
  }
  for (const [name, help, label, read] of HOMESERVER_RECORDS) {
    const from = columns.length;
    const keys = Object.keys(read(newCounters()));
    for (const key of keys) {
      columns.push({ isCounter: true, isActivity: true, read: (stats) => read(stats)[key] ?? 0 });
    }
    const labelValues = keys.map((key) => [snakeCase(key)]);
    families.counter(name, help, ["server_name", label], () => seriesOf(from, labelValues));
  }
  for (const [name, help, read] of HOMESERVER_GAUGES) {
    const from = columns.push({ isCounter: false, isActivity: false, read }) - 1;
    families.gauge(name, help, ["server_name"], () => seriesOf(from, [[]]));
  }
  const series = new HomeserverSeries({ columns, configured });
  families.gauge("splitcache_homeservers", "Homeservers that the sidecar follows", [], () =>
    only(series.homeservers),
  );
  return (slicer) => series.read(homeservers(), slicer);
}

type CounterStats = ReturnType<typeof newCounters>;
const hitsOf = (stats: HomeserverStats) => stats.hits;

type CountKind = (stats: HomeserverStats) => number;
type RecordKind = (stats: CounterStats) => Readonly<Record<string, number>>;

const HOMESERVER_COUNTERS: readonly (readonly [name: string, help: string, count: CountKind])[] = [
  ["splitcache_hits_total", "Lookups that found the event", hitsOf],
  [
    "splitcache_epochs_total",
    "New epochs of the homeserver's log; each new epoch empties the homeserver's cache",
    (stats) => stats.epochs,
  ],
];

const HOMESERVER_RECORDS: readonly (readonly [
  name: string,
  help: string,
  label: string,
  counts: RecordKind,
])[] = [
  [
    "splitcache_misses_total",
    "Lookups that did not find the event, by reason: absent (never put, evicted or invalidated), orphaned (its room was purged or its body was dropped, and the entry was not yet swept), expired (the entry's time to live had passed), unverified (the sidecar was not current), behind (the sidecar had not reached min_position), unredactable (the event is redacted and no redacted body could be made)",
    "reason",
    (stats) => stats.misses,
  ],
  [
    "splitcache_puts_total",
    "Events put, by outcome: stored, or refused as fenced (changed after as_of), too_old (as_of is older than the oldest change in the log), wrong_epoch (as_of has another epoch) or unverified (the sidecar was not current)",
    "outcome",
    (stats) => stats.puts,
  ],
  [
    "splitcache_metadata_sets_total",
    "SetRedaction and SetRejected calls, by outcome: applied, dropped (the entry was dropped; the next read refills it) or absent (there was no entry)",
    "outcome",
    (stats) => stats.sets,
  ],
  [
    "splitcache_quota_refusals_total",
    "Calls that were refused because the homeserver had too many: calls or bytes in flight, subscribers, read_streams, or changes a second",
    "quota",
    (stats) => stats.refusals,
  ],
  ["splitcache_changes_total", "Changes that were announced, by kind", "kind", (stats) => stats.changes],
  [
    "splitcache_resets_total",
    "Reset frames sent to subscribers, by reason: wrong_epoch (the log has a new epoch), too_old (the subscriber lagged or resumed after the log was trimmed)",
    "reason",
    (stats) => stats.resets,
  ],
];

const HOMESERVER_GAUGES: readonly (readonly [name: string, help: string, count: CountKind])[] = [
  ["splitcache_subscribers", "Open subscriptions", (stats) => stats.subscribers],
  [
    "splitcache_log_changes",
    "Changes that the sidecar's copy of the invalidation log holds",
    (stats) => stats.logChanges,
  ],
  ["splitcache_log_event_ids", "Event IDs in these changes", (stats) => stats.logEventIds],
  [
    "splitcache_log_bytes",
    "Memory of the sidecar's copy of the invalidation log in bytes",
    (stats) => stats.logBytes,
  ],
  [
    "splitcache_homeserver_memory_bytes",
    "Memory of the homeserver's entries in both caches and of the events that they refer to; an event that several homeservers hold counts for each",
    (stats) => stats.memoryBytes,
  ],
  [
    "splitcache_homeserver_memory_share_bytes",
    "Part of the memory of both caches that is protected for the homeserver",
    (stats) => stats.memoryShareBytes,
  ],
  ["splitcache_log_max_bytes", "Limit of splitcache_log_bytes", (stats) => stats.logBytesMax],
];

/** Converts a name to the spelling of label values: `wrongEpoch` becomes `wrong_epoch`. */
export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
