import type { HomeserverStats, StoreStats } from "../core/store.js";
import type { MetricMaker } from "./metric-maker.js";

/**
 * Registers what is counted by homeserver. The label `server_name` is bounded by
 * the limit of homeservers; one that the store forgets loses its series.
 */
export function registerHomeserverMetrics({ counter, gauge }: MetricMaker, stats: () => StoreStats): void {
  for (const [name, help, count] of HOMESERVER_COUNTERS) {
    counter(name, help, ["server_name"], (set) => {
      for (const [homeserver, own] of stats().homeservers) set([homeserver], count(own));
    });
  }
  for (const [name, help, label, counts] of HOMESERVER_RECORDS) {
    counter(name, help, ["server_name", label], (set) => {
      for (const [homeserver, own] of stats().homeservers) {
        for (const [key, count] of Object.entries(counts(own))) set([homeserver, snakeCase(key)], count);
      }
    });
  }
  for (const [name, help, count] of HOMESERVER_GAUGES) {
    gauge(name, help, ["server_name"], (set) => {
      for (const [homeserver, own] of stats().homeservers) set([homeserver], count(own));
    });
  }
  gauge("splitcache_homeservers", "Homeservers that the store knows", [], (set) =>
    set([], stats().homeservers.size),
  );
}

type CountKind = (stats: HomeserverStats) => number;
type RecordKind = (stats: HomeserverStats) => Readonly<Record<string, number>>;

const HOMESERVER_COUNTERS: readonly (readonly [name: string, help: string, count: CountKind])[] = [
  ["splitcache_hits_total", "Lookups answered with the event", (stats) => stats.hits],
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
function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
