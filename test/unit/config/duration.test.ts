import { describe, expect, it } from "vitest";
import { durationKind, formatDuration, parseDuration } from "../../../src/config/duration.js";

describe("durations", () => {
  it.each([
    ["250ms", 250],
    ["5s", 5000],
    ["1.5m", 90_000],
    ["2h", 7_200_000],
    ["7d", 604_800_000],
  ])("reads %s", (text, ms) => expect(parseDuration(text, "0s", "30d")).toBe(ms));

  it.each(["", "5", "s", "-1s", "5 s", "1w", "9ms", "31d"])("refuses %j", (text) => {
    expect(parseDuration(text, "10ms", "30d")).toBeUndefined();
  });

  it("names the units and the range", () => {
    expect(durationKind("1s", "1h")).toBe(
      "a duration with a unit (ms, s, m, h, d) from 1s to 1h, such as 5s",
    );
  });

  it("writes durations for people", () => {
    expect([0.4183, 15.4, 1000, 1234, 60_000, 200_000].map(formatDuration)).toEqual([
      "0.42 ms",
      "15 ms",
      "1 s",
      "1.2 s",
      "1 m",
      "3 m 20 s",
    ]);
  });
});
