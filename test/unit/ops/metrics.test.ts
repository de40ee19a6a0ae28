import { Registry } from "prom-client";
import { expect, it } from "vitest";
import { parseMetrics } from "../../../src/cli/metrics-text.js";
import type { HomeserverStats, StoreStats } from "../../../src/core/store.js";
import type { Homeserver } from "../../../src/core/types.js";
import { observeCalls } from "../../../src/ops/call-metrics.js";
import { registerMetrics } from "../../../src/ops/metrics.js";

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
    subscribers: 2,
    logChanges: 4,
    logEventIds: 5,
    logBytes: 6,
    logBytesMax: 7,
  };
}

/** Metrics of a store that knows these homeservers, by their hits. */
function metricsOf(homeservers: Map<string, number>) {
  const registry = new Registry();
  let asked = 0;
  const stats = (): StoreStats => {
    asked += 1;
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
  registerMetrics(registry, {
    stats,
    usage: () => ({
      callsInFlight: 1,
      bytesInFlight: 2,
      readStreams: 3,
      subscriptionBytes: 4,
      foreignCalls: 5,
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
  return {
    registry,
    timesAsked: () => asked,
    scrape: async () =>
      new Map(
        parseMetrics(await registry.metrics()).map(({ name, labels, value }) => [
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
  expect(samples.get("splitcache_cache_entries metadata")).toBe(9);
  expect(samples.get("splitcache_evictions_total events")).toBe(4);
  expect(samples.get("splitcache_read_streams")).toBe(3);
  expect(samples.get("splitcache_calls_in_flight_max")).toBe(11);
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

it("asks the store once a scrape", async () => {
  const { scrape, timesAsked } = metricsOf(new Map([["a", 1]]));
  await scrape();
  expect(timesAsked()).toBe(1);
  await scrape();
  expect(timesAsked()).toBe(2);
});

it("has no label but those that configuration bounds", () => {
  const { registry } = metricsOf(new Map());
  observeCalls(registry);
  const names = registry
    .getMetricsAsArray()
    .flatMap((metric) => ("labelNames" in metric ? metric.labelNames : []));
  const bounded = ["server_name", "reason", "outcome", "kind", "cache", "version", "node"];
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
