import { expect, it } from "vitest";
import { type ClockSources, processClock, SuspensionClock } from "../../../../src/log/postgres/clock.js";

/** Clocks that a test moves; deferred functions run when it says so. */
function fakeClocks() {
  const sources = { monotonic: 1000, uptime: 5_000_000 as number | undefined, readings: 0 };
  const deferred: (() => void)[] = [];
  const clocks: ClockSources = {
    monotonicMs: () => sources.monotonic,
    uptimeMs: () => {
      sources.readings += 1;
      return sources.uptime;
    },
    defer: (run) => void deferred.push(run),
  };
  const nextTurn = () => {
    for (const run of deferred.splice(0)) run();
  };
  const pass = (ms: number, suspendedMs = 0) => {
    sources.monotonic += ms;
    if (sources.uptime !== undefined) sources.uptime += ms + suspendedMs;
  };
  return { sources, clocks, nextTurn, pass };
}

it("counts the time that passes", () => {
  const { clocks, pass } = fakeClocks();
  const clock = new SuspensionClock(clocks);
  const startMs = clock.nowMs();
  pass(1234);
  expect(clock.nowMs() - startMs).toBe(1234);
});

it("counts the time in which the machine was suspended, each time", () => {
  const { clocks, pass, nextTurn } = fakeClocks();
  const clock = new SuspensionClock(clocks);
  const startMs = clock.nowMs();
  for (const seconds of [60, 3600]) {
    pass(10, seconds * 1000);
    nextTurn();
    clock.nowMs();
  }
  expect(clock.nowMs() - startMs).toBe(20 + 3660 * 1000);
});

it("reads the uptime once a turn of the event loop", () => {
  const { sources, clocks, nextTurn } = fakeClocks();
  const clock = new SuspensionClock(clocks);
  sources.readings = 0;
  for (let n = 0; n < 100; n++) clock.nowMs();
  expect(sources.readings).toBe(1);
  nextTurn();
  clock.nowMs();
  expect(sources.readings).toBe(2);
});

it("does not go back, and takes no rounding for a suspension", () => {
  const { sources, clocks, nextTurn, pass } = fakeClocks();
  const clock = new SuspensionClock(clocks);
  const startMs = clock.nowMs();
  for (const error of [9, -9, 10, -10]) {
    pass(5);
    sources.uptime = sources.uptime! + error;
    nextTurn();
  }
  expect(clock.nowMs() - startMs).toBe(20);
  pass(0, 1000);
  nextTurn();
  const afterMs = clock.nowMs();
  pass(0, -1000);
  nextTurn();
  expect(clock.nowMs()).toBe(afterMs);
});

it("is the monotonic clock where there is no uptime", () => {
  const { sources, clocks, pass } = fakeClocks();
  sources.uptime = undefined;
  const clock = new SuspensionClock(clocks);
  const startMs = clock.nowMs();
  pass(70);
  expect(clock.nowMs() - startMs).toBe(70);
});

it("reads the clocks of this process", () => {
  const clock = new SuspensionClock(processClock());
  const first = clock.nowMs();
  expect(clock.nowMs()).toBeGreaterThanOrEqual(first);
});
