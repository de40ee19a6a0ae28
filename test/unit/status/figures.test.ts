import { describe, expect, it } from "vitest";
import { newCounters } from "../../../src/core/model/counters.js";
import type { HomeserverStats, HomeserverStatsTable } from "../../../src/core/model/store.js";
import type { Homeserver } from "../../../src/core/model/types.js";
import { HomeserverActivity } from "../../../src/status/activity.js";
import { chartPaths } from "../../../src/status/charts.js";
import { formatBytes, formatRate, formatSeconds, formatUptime } from "../../../src/status/format.js";
import { quantile } from "../../../src/status/histogram.js";
import { escapeHtml } from "../../../src/status/html.js";
import { Largest } from "../../../src/status/largest.js";
import { type Sample, Samples } from "../../../src/status/samples.js";
import { TimeSlicer } from "../../../src/telemetry/time-slicer.js";

function tableOf(hits: Readonly<Record<string, number>>): HomeserverStatsTable {
  const all = Object.entries(hits).map(([name, hits]): [Homeserver, HomeserverStats] => [
    name as Homeserver,
    {
      ...newCounters(),
      hits,
      position: undefined,
      entries: 0,
      bytes: 0,
      subscribers: 0,
      logChanges: 0,
      logEventIds: 0,
      logBytes: 0,
      logBytesMax: 0,
      memoryBytes: 0,
      memoryShareBytes: 0,
    },
  ]);
  const table = new Map(all);
  return Object.assign(table, { keys: () => table.keys() });
}

describe("the activity of homeservers", () => {
  it("counts what was added, also of a homeserver that was forgotten and seen again", async () => {
    const activity = new HomeserverActivity();
    const added = [];
    for (const hits of [{ a: 5, b: 1 }, { a: 7, b: 1 }, { b: 2 }, { a: 3, b: 2 }, { a: 1, b: 2 }]) {
      added.push((await activity.read(tableOf(hits), new TimeSlicer())).hits);
    }
    expect(added).toEqual([6, 2, 1, 3, 1]);
    expect(activity.total.hits).toBe(13);
    expect(activity.homeservers).toBe(2);
  });

  it("lists the busiest hundred first", async () => {
    const activity = new HomeserverActivity();
    const hits = Object.fromEntries(Array.from({ length: 1000 }, (_, at) => [`h${at}`, at]));
    await activity.read(tableOf(hits), new TimeSlicer());
    expect(activity.busiest).toEqual(Array.from({ length: 100 }, (_, at) => `h${999 - at}`));
  });
});

it("keeps the largest, of equal ones the first", () => {
  const largest = new Largest<string>(2);
  for (const [item, score] of [
    ["a", 1],
    ["b", 1],
    ["c", 1],
    ["d", 2],
    ["e", 0],
    ["f", 1],
  ] as const) {
    largest.add(item, score);
  }
  expect(largest.items()).toEqual(["d", "a"]);
});

it.each([
  [0.5, [0, 4, 0, 0], 1.5],
  [0.99, [99, 1, 0, 0], 1],
  [0.5, [1, 0, 1, 0], 1],
  [0.99, [0, 0, 0, 1], 4],
  [0.5, [0, 0, 0, 0], undefined],
])("estimates quantile %d of %j as %s", (share, counts, expected) => {
  expect(quantile({ bounds: [1, 2, 4], counts }, share)).toBe(expected);
});

function sample(given: Partial<Sample>): Sample {
  const { hits, changes } = newCounters();
  const none = { calls: 0, failedCalls: 0, eventsBytes: 0, metadataBytes: 0, logsBytes: 0, heapBytes: 0 };
  const activity = { hits, misses: 0, changes };
  const use = { isLogUp: true, homeservers: 0, subscribers: 0, lagMax: 0 };
  return { seconds: 5, activity, latencyCounts: [], ...none, ...use, ...given };
}

it("keeps 180 samples, and the last minute of them is live", () => {
  const samples = new Samples();
  for (let calls = 0; calls < 500; calls += 1) samples.add(sample({ calls, latencyCounts: [1, 2] }));
  expect(samples.all.map(({ calls }) => calls)).toEqual(Array.from({ length: 180 }, (_, at) => 320 + at));
  expect(samples.live()).toMatchObject({ seconds: 60, calls: 12 * 493.5, latencyCounts: [12, 24] });
});

it("draws lines that end at the right edge, with gaps", () => {
  expect(chartPaths({ lines: [[0, null, 2, 4]] })).toEqual(["M176 40h0M178 20h0L179 0"]);
  expect(chartPaths({ lines: [[0, 9]], chartMax: 3 })).toEqual(["M178 40h0L179 0"]);
  expect(chartPaths({ lines: [[0], [null]] })).toEqual(["M179 40h0", ""]);
});

it("escapes what has a meaning in HTML", () => {
  expect(escapeHtml(`<a href="x" b='y'>&amp;`)).toBe("&#60;a href=&#34;x&#34; b=&#39;y&#39;&#62;&#38;amp;");
});

it("writes numbers for people", () => {
  expect([0, 1023, 1536, 5 * 2 ** 20, 3 * 2 ** 30, 2 ** 50].map(formatBytes)).toEqual([
    "0 B",
    "1023 B",
    "1.5 KiB",
    "5 MiB",
    "3 GiB",
    "1048576 GiB",
  ]);
  expect([0.000_05, 0.0123, 2.5].map(formatSeconds)).toEqual(["50 µs", "12.3 ms", "2.5 s"]);
  expect([0, 0.123_456, 1234.5].map(formatRate)).toEqual(["0/s", "0.123/s", "1,235/s"]);
  expect([5, 65, 3700, 90_000].map(formatUptime)).toEqual(["5 s", "1 min 5 s", "1 h 1 min", "1 d 1 h"]);
});
