import { Registry } from "prom-client";
import { describe, expect, it } from "vitest";
import { parseMetrics } from "../../../src/cli/io/metrics-text.js";
import type { HomeserverStats, StoreStats } from "../../../src/core/model/store.js";
import type { Homeserver } from "../../../src/core/model/types.js";
import { observeCalls } from "../../../src/telemetry/call-metrics.js";
import { createMetrics } from "../../../src/telemetry/metrics.js";
import { createScrape } from "../../../src/telemetry/scrape.js";

const CACHE = { entries: 1, bytes: 2, bytesMax: 3, evictions: 4 };

function homeserverStats(hits: number): HomeserverStats {
  return {
    hits,
    misses: { absent: 1, orphaned: 2, expired: 3, unverified: 4, behind: 5, unredactable: 6 },
    puts: { stored: 1, fenced: 2, tooOld: 3, wrongEpoch: 4, unverified: 5 },
    sets: { applied: 1, dropped: 2, absent: 3 },
    changes: { redacted: 1, rejected: 2, invalidated: 3, roomPurged: 4, homeserverPurged: 5 },
    resets: { wrongEpoch: 1, tooOld: 2 },
    epochs: 1,
    position: undefined,
    entries: 8,
    bytes: 9,
    subscribers: 2,
    logChanges: 4,
    logEventIds: 5,
    logBytes: 6,
    logBytesMax: 7,
  };
}

/** Metrics of a store that knows these homeservers, by their hits. */
function metricsOf(homeservers: Map<string, number>, configuredHomeservers: readonly string[] = []) {
  const registry = new Registry();
  const stats = (): StoreStats => {
    return {
      events: CACHE,
      metadata: { ...CACHE, entries: 9 },
      logBytes: 1,
      logBytesMax: 2,
      heapBytes: 3,
      heapBytesMax: 4,
      swept: 5,
      homeservers: new Map(
        [...homeservers].map(([name, hits]) => [name as Homeserver, homeserverStats(hits)]),
      ),
    };
  };
  const metrics = createMetrics({
    configuredHomeservers,
    droppedLogLines: () => 6,
    backends: {
      invalidationLog: { status: () => ({ isUp: true, errors: { unreachable: 2 }, memberCount: 3 }) },
      tier: {
        status: () => ({
          isUp: false,
          errors: { forged: 3 },
          entries: { requested: 4, found: 3, written: 2, dropped: 1 },
        }),
      },
    },
    stats,
    usage: () => ({
      callsInFlight: 1,
      bytesInFlight: 2,
      readStreams: 3,
      subscriptionBytes: 4,
      auxiliaryCalls: 5,
    }),
    limits: {
      memoryBytes: 10,
      callsInFlightMax: 11,
      bytesInFlightMax: 12,
      readStreamsMax: 13,
      subscribersMax: 14,
      homeserversMax: 15,
    },
    version: "1.2.3",
    nodeVersion: "v20",
  });
  const source = createScrape({ registry, ...metrics, families: metrics.families.all });
  return {
    registry,
    families: metrics.families.all,
    source,
    scrape: async () =>
      new Map(
        parseMetrics(String(await source.metrics())).map(({ name, labels, value }) => [
          [name, ...labels.values()].join(" "),
          value,
        ]),
      ),
  };
}

it("shows what the store counts, as it is at the scrape", async () => {
  const homeservers = new Map([["a", 10]]);
  const { scrape } = metricsOf(homeservers);
  expect((await scrape()).get("splitcache_hits_total a")).toBe(10);
  homeservers.set("a", 25);
  const samples = await scrape();
  expect(samples.get("splitcache_hits_total a")).toBe(25);
  expect(samples.get("splitcache_misses_total a behind")).toBe(5);
  expect(samples.get("splitcache_puts_total a wrong_epoch")).toBe(4);
  expect(samples.get("splitcache_changes_total a room_purged")).toBe(4);
  expect(samples.get("splitcache_resets_total a too_old")).toBe(2);
  expect(samples.get("splitcache_cache_entries events")).toBe(1);
  expect(samples.get("splitcache_log_up")).toBe(1);
  expect(samples.get("splitcache_log_errors_total unreachable")).toBe(2);
  expect(samples.get("splitcache_tier_up")).toBe(0);
  expect(samples.get("splitcache_tier_errors_total forged")).toBe(3);
  expect(samples.get("splitcache_tier_lookups_total")).toBe(4);
  expect(samples.get("splitcache_tier_hits_total")).toBe(3);
  expect(samples.get("splitcache_tier_writes_total")).toBe(2);
  expect(samples.get("splitcache_tier_writes_dropped_total")).toBe(1);
  expect(samples.get("splitcache_cache_entries metadata")).toBe(9);
  expect(samples.get("splitcache_evictions_total events")).toBe(4);
  expect(samples.get("splitcache_read_streams")).toBe(3);
  expect(samples.get("splitcache_calls_in_flight_max")).toBe(11);
  expect(samples.get("splitcache_stderr_lines_dropped_total")).toBe(6);
  expect(samples.get("splitcache_build_info 1.2.3 v20")).toBe(1);
});

it("drops the series of a homeserver that the store has forgotten", async () => {
  const homeservers = new Map([
    ["a", 1],
    ["b", 2],
  ]);
  const { scrape } = metricsOf(homeservers);
  expect([...(await scrape()).keys()].filter((key) => key.split(" ").includes("b"))).not.toHaveLength(0);
  homeservers.delete("b");
  const keys = [...(await scrape()).keys()];
  expect(keys.filter((key) => key.split(" ").includes("b"))).toEqual([]);
  expect(keys).toContain("splitcache_hits_total a");
});

/** Homeservers `h0`, `h1`, …; each has as many hits as its number. */
const manyHomeservers = (count: number) =>
  new Map(Array.from({ length: count }, (_, hits): [string, number] => [`h${hits}`, hits]));

describe("of more homeservers than a hundred", () => {
  it("shows the busiest hundred, and the sum of the others", async () => {
    const { scrape } = metricsOf(manyHomeservers(1000));
    const samples = await scrape();
    const shown = [...samples.keys()].filter((key) => key.startsWith("splitcache_hits_total "));
    expect(shown).toHaveLength(101);
    expect(samples.get("splitcache_hits_total h999")).toBe(999);
    expect(samples.get("splitcache_hits_total h899")).toBeUndefined();
    expect(samples.get("splitcache_hits_total _other")).toBe((899 * 900) / 2);
    expect(samples.get("splitcache_subscribers _other")).toBe(900 * 2);
    expect(samples.get("splitcache_homeservers")).toBe(1000);
  });

  it("never lets the counters of the others go back", async () => {
    const homeservers = manyHomeservers(200);
    const { scrape } = metricsOf(homeservers);
    let before = (await scrape()).get("splitcache_hits_total _other")!;
    expect(before).toBe((99 * 100) / 2);
    const expectOther = async (added: number) => {
      const now = (await scrape()).get("splitcache_hits_total _other")!;
      expect(now).toBe(before + added);
      before = now;
    };
    // Of the others one starts at zero again, one is forgotten, and one gets busy: it has series of its own.
    homeservers.set("h30", 7);
    await expectOther(7);
    homeservers.delete("h50");
    await expectOther(0);
    homeservers.set("h40", 10_000);
    await expectOther(0);
    expect((await scrape()).get("splitcache_hits_total h40")).toBe(10_000);
  });

  it("shows the homeservers that the configuration names", async () => {
    const { scrape } = metricsOf(manyHomeservers(200), ["h0", "h1"]);
    const samples = await scrape();
    expect(samples.get("splitcache_hits_total h1")).toBe(1);
    expect([...samples.keys()].filter((key) => key.startsWith("splitcache_hits_total "))).toHaveLength(3);
  });
});

it("never shows a homeserver under the name of the others", async () => {
  const { scrape } = metricsOf(
    new Map([
      ["_other", 5],
      ["a", 1],
    ]),
  );
  const samples = await scrape();
  expect(samples.get("splitcache_hits_total _other")).toBe(5);
  expect(samples.get("splitcache_hits_total a")).toBe(1);
});

it("escapes what a homeserver's name must not do to the page", async () => {
  const { source, scrape } = metricsOf(new Map([['a"b\\c\nd', 4]]));
  expect(String(await source.metrics())).toContain('splitcache_hits_total{server_name="a\\"b\\\\c\\nd"} 4\n');
  expect((await scrape()).get('splitcache_hits_total a"b\\c\nd')).toBe(4);
});

it("has only labels that the configuration bounds", () => {
  const { registry, families } = metricsOf(new Map());
  observeCalls(registry);
  const names = [...registry.getMetricsAsArray(), ...families].flatMap((metric) =>
    "labelNames" in metric ? metric.labelNames : [],
  );
  const bounded = ["server_name", "reason", "outcome", "kind", "cache", "cause", "version", "node"];
  expect(new Set(names)).toEqual(
    new Set([...bounded, "grpc_type", "grpc_service", "grpc_method", "grpc_code"]),
  );
});

it("counts calls by method and code, and how long they took", async () => {
  const registry = new Registry();
  const observer = observeCalls(registry);
  const call = { type: "unary", service: "s", method: "m" } as const;
  for (const [code, seconds] of [
    [0, 0.0002],
    [0, 0.2],
    [8, 100],
  ] as const) {
    observer.started(call);
    observer.handled(call, code, seconds);
  }
  observer.started(call);
  const text = await registry.metrics();
  const labels = 'grpc_type="unary",grpc_service="s",grpc_method="m"';
  expect(text).toContain(`grpc_server_started_total{${labels}} 4\n`);
  expect(text).toContain(`grpc_server_handled_total{${labels},grpc_code="OK"} 2\n`);
  expect(text).toContain(`grpc_server_handled_total{${labels},grpc_code="RESOURCE_EXHAUSTED"} 1\n`);
  expect(text).toContain(`grpc_server_handling_seconds_bucket{le="0.00025",${labels}} 1\n`);
  expect(text).toContain(`grpc_server_handling_seconds_bucket{le="10",${labels}} 2\n`);
  expect(text).toContain(`grpc_server_handling_seconds_bucket{le="+Inf",${labels}} 3\n`);
  expect(text).toContain(`grpc_server_handling_seconds_count{${labels}} 3\n`);
});
