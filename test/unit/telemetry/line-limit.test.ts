import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { LineLimit } from "../../../src/telemetry/line-limit.js";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

function limitOf(given: { keysMax?: number } = {}) {
  const reported: [string, number][] = [];
  const limit = new LineLimit({
    linesMax: 2,
    windowMs: 100,
    keysMax: 10,
    onSuppressed: (key, count) => reported.push([key, count]),
    ...given,
  });
  const admitted = (...keys: string[]) => keys.map((key) => limit.admits(key));
  return { admitted, reported };
}

it("admits a number of lines of each key in a window, independent of other keys", () => {
  const { admitted } = limitOf();
  expect(admitted("a", "a", "a", "b", "b", "b")).toEqual([true, true, false, true, true, false]);
});

it("reports the number of suppressed lines at the end of the window, then admits again", () => {
  const { admitted, reported } = limitOf();
  admitted("a", "a", "a", "a");
  vi.advanceTimersByTime(99);
  expect(reported).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(reported).toEqual([["a", 2]]);
  expect(admitted("a")).toEqual([true]);
});

it("reports nothing about a window without suppressed lines, and forgets it", () => {
  const { admitted, reported } = limitOf();
  admitted("a", "a");
  vi.advanceTimersByTime(100);
  expect([reported, vi.getTimerCount()]).toEqual([[], 0]);
});

it("ends the oldest window early for a key beyond its bound", () => {
  const { admitted, reported } = limitOf({ keysMax: 2 });
  admitted("a", "a", "a", "b", "c");
  expect([reported, vi.getTimerCount()]).toEqual([[["a", 1]], 2]);
});
