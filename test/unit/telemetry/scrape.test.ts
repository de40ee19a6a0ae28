import { Registry } from "prom-client";
import { expect, it } from "vitest";
import { MetricFamilies, only } from "../../../src/telemetry/metric-families.js";
import { createScrape } from "../../../src/telemetry/scrape.js";
import { TimeSlicer } from "../../../src/telemetry/time-slicer.js";

it("is made once for all concurrent requests, and again for the next request", async () => {
  const families = new MetricFamilies();
  let scrapes = 0;
  families.gauge("scrapes", "Scrapes", [], () => only(scrapes));
  let letGo = () => {};
  const gate = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const source = createScrape({
    registry: new Registry(),
    families: families.all,
    prepare: () => {
      scrapes += 1;
      return gate;
    },
  });
  const asked = Array.from({ length: 400 }, () => source.metrics());
  letGo();
  const pages = await Promise.all(asked);
  // The same bytes, not as many copies as there are clients.
  expect(new Set(pages).size).toBe(1);
  expect(String(pages[0])).toBe("# HELP scrapes Scrapes\n# TYPE scrapes gauge\nscrapes 1\n\n");
  expect(String(await source.metrics())).toContain("scrapes 2\n");
});

it("is asked for again after it failed", async () => {
  let fails = true;
  const prepare = async () => {
    if (fails) throw new Error("no");
  };
  const source = createScrape({ registry: new Registry(), families: [], prepare });
  await expect(source.metrics()).rejects.toThrow("no");
  fails = false;
  await source.metrics();
});

it("gives others a turn whenever a slice of two milliseconds is used up", async () => {
  const families = new MetricFamilies();
  families.gauge("rows", "Rows", ["row"], function* () {
    for (let row = 0; row < 6400; row++) yield [[String(row)], row];
  });
  // Each look at the clock takes half a millisecond.
  let now = 0;
  let turns = 0;
  const clock = () => {
    now += 0.5;
    return now;
  };
  const defer = (run: () => void) => {
    turns += 1;
    run();
  };
  const newSlicer = () => new TimeSlicer(clock, defer);
  const source = createScrape({
    registry: new Registry(),
    families: families.all,
    prepare: async () => {},
    newSlicer,
  });
  expect(String(await source.metrics()).match(/^rows\{/gm)).toHaveLength(6400);
  expect(turns).toBeGreaterThan(20);
});
