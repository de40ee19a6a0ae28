import { describe, expect, it } from "vitest";
import { ConfigError, parseConfig } from "../../../src/config/parse-config.js";
import { Quotas } from "../../../src/core/model/quotas.js";

const MIB = 2 ** 20;

function parse(quotas: readonly string[], flags: Readonly<Record<string, string[]>> = {}) {
  const texts = new Map(Object.entries({ ...flags, quota: quotas }));
  return parseConfig({
    flags: { texts, unknown: [] },
    environment: {},
    file: undefined,
    memoryLimitBytes: undefined,
  }).config.quotas;
}

function problemsOf(...given: Parameters<typeof parse>): string[] {
  try {
    parse(...given);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(({ problem }) => problem);
    throw error;
  }
  return [];
}

describe("quotas", () => {
  it("reads limits of one homeserver, with a port too, and of each", () => {
    const quotas = new Quotas(
      parse([
        "*:subscribers-max=10",
        "*:memory-max=128MiB",
        "a.example:8448:memory-min=64MiB",
        "a.example:8448:subscribers-max=20",
        "b.example:changes-per-second=5",
      ]),
    );
    expect(quotas.of("a.example:8448")).toEqual({
      memoryMin: 64 * MIB,
      memoryMax: 128 * MIB,
      subscribersMax: 20,
    });
    expect(quotas.of("b.example")).toEqual({ memoryMax: 128 * MIB, subscribersMax: 10, changesPerSecond: 5 });
    expect(quotas.of("other.example")).toEqual({ memoryMax: 128 * MIB, subscribersMax: 10 });
    expect(quotas.memoryMinTotal).toBe(64 * MIB);
  });

  it("reads the file and the environment", () => {
    const { config } = parseConfig({
      flags: { texts: new Map(), unknown: [] },
      environment: { SPLITCACHE_QUOTA: "*:subscribers-max=3, a.example:memory-min=1MiB" },
      file: { path: "file", text: 'quota: ["*:subscribers-max=4"]' },
      memoryLimitBytes: undefined,
    });
    expect(config.quotas).toEqual([
      { homeserver: "*", limit: "subscribersMax", value: 3 },
      { homeserver: "a.example", limit: "memoryMin", value: MIB },
    ]);
  });

  it("refuses quotas that add up to more than the budget", () => {
    const halves = ["a.example:memory-min=32MiB", "b.example:memory-min=32MiB"];
    expect(problemsOf(halves, { memory: ["64MiB"] })).toEqual([]);
    expect(problemsOf(halves, { memory: ["63MiB"] })).toEqual([
      "memory-min of all homeservers is 64MiB in total, more than --memory, which is 63MiB",
    ]);
  });

  it("names every error with its limit, all at once", () => {
    const problems = problemsOf([
      "a.example",
      "a.example:subscribers=1",
      "a.example:subscribers-max=0",
      "a.example:memory-min=1KiB",
    ]);
    expect(problems).toHaveLength(4);
    expect(problems[0]).toMatch(/^"a\.example" must be NAME:limit=value/);
    expect(problems[1]).toContain("changes-per-second");
    expect(problems[2]).toContain("subscribers-max must be a whole number from 1 to 100000");
    expect(problems[3]).toContain("memory-min must be a number of bytes");
  });

  it.each<[string, string[], string]>([
    ["a limit twice", ["a:subscribers-max=1", "a:subscribers-max=2"], "a:subscribers-max is given twice"],
    ["a minimum of all", ["*:memory-min=1MiB"], "*:memory-min has no effect"],
    ["a homeserver that is not served", ["b:subscribers-max=1"], "not among --homeserver"],
    ["a limit above the sidecar's", ["a:subscribers-max=9999"], "more than --subscribers-max, which is 2000"],
    ["a maximum above the budget", ["a:memory-max=1GiB"], "more than --memory, which is 256MiB"],
    [
      "a minimum above the maximum",
      ["a:memory-min=9MiB", "*:memory-max=8MiB"],
      "more than its memory-max, 8MiB",
    ],
  ])("refuses what contradicts: %s", (_, quotas, problem) => {
    const problems = problemsOf(quotas, { homeserver: ["a"] });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(problem);
  });
});
