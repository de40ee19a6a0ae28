import { newCounters } from "../core/model/counters.js";
import type { HomeserverStats, HomeserverStatsTable } from "../core/model/store.js";
import { type Column, HomeserverSeries } from "./homeserver-series.js";
import { type MetricFamilies, only, type Series } from "./metric-families.js";
import type { Pace } from "./pace.js";

/**
 * Registers what is counted by homeserver. The label `server_name` is bounded: the homeservers of the
 * configuration, else the busiest hundred, and `_other` for the sum of all others. A homeserver that the
 * store forgets loses its series. Returns what reads all homeservers before a scrape.
 */
export function registerHomeserverMetrics(
  families: MetricFamilies,
  homeservers: () => HomeserverStatsTable,
  configured: ReadonlySet<string>,
): (pace: Pace) => Promise<void> {
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
  families.gauge("splitcache_homeservers", "Homeservers that the store knows", [], () =>
    only(series.homeservers),
  );
  return (pace) => series.read(homeservers(), pace);
}

type CounterStats = ReturnType<typeof newCounters>;
const hitsOf = (stats: HomeserverStats) => stats.hits;

type CountKind = (stats: HomeserverStats) => number;
type RecordKind = (stats: CounterStats) => Readonly<Record<string, number>>;

const HOMESERVER_COUNTERS: readonly (readonly [name: string, help: string, count: CountKind])[] = [
  ["splitcache_hits_total", "Lookups answered with the event", hitsOf],
  [
    "splitcache_epochs_total",
    "New epochs of the homeserver's log; each empties its cache",
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
    "Lookups without an answer: absent (never put, evicted or invalidated), orphaned (its room was purged while it was still there, or its body was evicted), expired (past the metadata's time to live), unverified (this sidecar did not know that it was current), behind (of min_position), unredactable (redacted, and no redacted body could be made)",
    "reason",
    (stats) => stats.misses,
  ],
  [
    "splitcache_puts_total",
    "Events put, by outcome: stored, or refused because they were fenced (changed after as_of), too_old (as_of is older than the log reaches), wrong_epoch or unverified",
    "outcome",
    (stats) => stats.puts,
  ],
  [
    "splitcache_sets_total",
    "SetRedaction and SetRejected calls, by outcome: applied, dropped (the entry was removed) or absent (there was none)",
    "outcome",
    (stats) => stats.sets,
  ],
  [
    "splitcache_changes_total",
    "Changes announced in the invalidation log, by kind",
    "kind",
    (stats) => stats.changes,
  ],
  [
    "splitcache_resets_total",
    "Times that a subscriber had to drop what it held: wrong_epoch, or too_old (it lagged or resumed too late)",
    "reason",
    (stats) => stats.resets,
  ],
];

const HOMESERVER_GAUGES: readonly (readonly [name: string, help: string, count: CountKind])[] = [
  ["splitcache_subscribers", "Open subscriptions", (stats) => stats.subscribers],
  ["splitcache_log_changes", "Changes that the invalidation log holds", (stats) => stats.logChanges],
  ["splitcache_log_event_ids", "Event IDs in the changes that the log holds", (stats) => stats.logEventIds],
  ["splitcache_log_bytes", "What the log costs", (stats) => stats.logBytes],
  ["splitcache_log_bytes_max", "Bound of what the log may cost", (stats) => stats.logBytesMax],
];

/** The spelling of label values: `wrongEpoch` becomes `wrong_epoch`. */
export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
