import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { LineLimit } from "../../../src/telemetry/line-limit.js";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

function limitOf(given: { keysMax?: number } = {}) {
  const told: [string, number][] = [];
  const limit = new LineLimit({
    linesMax: 2,
    windowMs: 100,
    keysMax: 10,
    onSuppressed: (key, count) => told.push([key, count]),
    ...given,
  });
  const admitted = (...keys: string[]) => keys.map((key) => limit.admits(key));
  return { admitted, told };
}

it("admits so many lines of each key in a window, whatever other keys do", () => {
  const { admitted } = limitOf();
  expect(admitted("a", "a", "a", "b", "b", "b")).toEqual([true, true, false, true, true, false]);
});

it("reports the number of suppressed lines at the end of the window, then admits again", () => {
  const { admitted, told } = limitOf();
  admitted("a", "a", "a", "a");
  vi.advanceTimersByTime(99);
  expect(told).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(told).toEqual([["a", 2]]);
  expect(admitted("a")).toEqual([true]);
});

it("reports nothing about a window without suppressed lines, and forgets it", () => {
  const { admitted, told } = limitOf();
  admitted("a", "a");
  vi.advanceTimersByTime(100);
  expect([told, vi.getTimerCount()]).toEqual([[], 0]);
});

it("ends the oldest window early for a key beyond its bound", () => {
  const { admitted, told } = limitOf({ keysMax: 2 });
  admitted("a", "a", "a", "b", "c");
  expect([told, vi.getTimerCount()]).toEqual([[["a", 1]], 2]);
});
