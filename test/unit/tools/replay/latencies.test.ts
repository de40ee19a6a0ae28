import { describe, expect, it } from "vitest";
import { Latencies } from "../../../../tools/replay/latencies.js";

describe("Latencies", () => {
  it("counts calls by their kind, failed ones too, and hands results on", async () => {
    const latencies = new Latencies();
    expect(await latencies.time("a", async () => 7)).toBe(7);
    await expect(latencies.time("a", () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    await latencies.time("b", async () => {});
    const counts = Array.from(latencies.summaries(), ([call, { count }]) => [call, count]);
    expect(counts).toEqual([
      ["a", 2],
      ["b", 1],
    ]);
  });

  it("orders the quantiles", async () => {
    const latencies = new Latencies();
    for (let index = 0; index < 100; index += 1) await latencies.time("a", async () => {});
    const summary = latencies.summaries().get("a");
    const quantiles = [summary?.p50, summary?.p90, summary?.p99, summary?.max];
    expect(quantiles).toEqual(quantiles.toSorted((left = 0, right = 0) => left - right));
  });
});
