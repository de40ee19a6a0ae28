import { describe, expect, it } from "vitest";
import { explore, formatCounterexample, type Model } from "./explore.js";
import { Fingerprints } from "./fingerprints.js";

/** A counter that grows by one or by three, up to `max`. */
function counter(max: number, forbidden?: number): Model<number> {
  return {
    initial: 0,
    next: (count) =>
      [1, 3].filter((by) => count + by <= max).map((by) => ({ label: `add ${by}`, state: count + by })),
    key: String,
    invariants: {
      allowed: (count) => (count === forbidden ? `${count} is forbidden` : undefined),
      small: (count) => (count > max ? "too large" : undefined),
    },
  };
}

describe("the explorer", () => {
  it("visits every state once and says that none is left", () => {
    expect(explore(counter(10), 100)).toMatchObject({
      states: 11,
      exhaustive: true,
      counterexample: undefined,
      labels: new Set(["add 1", "add 3"]),
    });
  });

  it("finds a shortest way to a broken invariant", () => {
    const { counterexample, exhaustive } = explore(counter(10, 7), 100);
    expect(exhaustive).toBe(false);
    expect(counterexample?.invariant).toBe("allowed");
    expect(counterexample?.trace.toSorted()).toEqual(["add 1", "add 3", "add 3"]);
  });

  it("checks the initial state too", () => {
    expect(explore(counter(10, 0), 100).counterexample?.trace).toEqual([]);
  });

  it("checks only the invariants that it is asked for", () => {
    expect(explore(counter(10, 7), 100, ["small"]).exhaustive).toBe(true);
    expect(() => explore(counter(10, 7), 100, ["samll"])).toThrow("no invariant samll");
  });

  it("does not call a walk exhaustive that ran out of budget", () => {
    expect(explore(counter(10), 10)).toMatchObject({ states: 10, exhaustive: false });
    expect(explore(counter(10), 11)).toMatchObject({ states: 11, exhaustive: true });
  });

  it("prints a counterexample as a numbered story", () => {
    const counterexample = { invariant: "I0", problem: "7 is forbidden", trace: ["add 3", "add 3", "add 1"] };
    expect(formatCounterexample(counterexample)).toBe(
      "I0 is broken: 7 is forbidden\n  1. add 3 (2 times)\n  2. add 1",
    );
  });
});

describe("fingerprints", () => {
  it("tell many short texts apart, and know each of them again", () => {
    const seen = new Fingerprints();
    const texts = Array.from({ length: 100_000 }, (_, number) =>
      String.fromCharCode(number % 17, number % 331, number >> 3),
    );
    expect(texts.every((text) => seen.add(text))).toBe(true);
    expect(seen.size).toBe(texts.length);
    expect(texts.some((text) => seen.add(text))).toBe(false);
  });
});
