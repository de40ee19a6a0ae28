import { describe, expect, it } from "vitest";
import { Breaker } from "../../../../src/tier/redis/breaker.js";
import { LATE_MAX, PAUSE_MS_MAX, PAUSE_MS_MIN, READ_MS_MAX } from "../../../../src/tier/redis/limits.js";

function newBreaker() {
  let nowMs = 1;
  const breaker = new Breaker(() => nowMs);
  return {
    breaker,
    advance: (ms: number) => {
      nowMs += ms;
    },
  };
}

describe("the breaker of reads", () => {
  it("opens at the first failure, and asks for one probe after a pause", () => {
    const { breaker, advance } = newBreaker();
    expect([breaker.isOpen, breaker.takesProbe()]).toEqual([false, false]);
    breaker.failed();
    expect([breaker.isOpen, breaker.takesProbe()]).toEqual([true, false]);
    advance(PAUSE_MS_MIN);
    expect([breaker.takesProbe(), breaker.takesProbe()]).toEqual([true, false]);
    breaker.answered();
    expect(breaker.isOpen).toBe(false);
  });

  it("pauses for twice as long after each failed probe, up to a bound, and briefly again after an answer", () => {
    const { breaker, advance } = newBreaker();
    breaker.failed();
    for (let pauseMs = PAUSE_MS_MIN; pauseMs < PAUSE_MS_MAX; pauseMs *= 2) {
      advance(pauseMs - 1);
      expect(breaker.takesProbe()).toBe(false);
      advance(1);
      expect(breaker.takesProbe()).toBe(true);
      breaker.failed();
    }
    advance(PAUSE_MS_MAX);
    expect(breaker.takesProbe()).toBe(true);
    breaker.answered();
    breaker.failed();
    advance(PAUSE_MS_MIN);
    expect(breaker.takesProbe()).toBe(true);
  });

  it("takes failures of what was sent before it opened for one", () => {
    const { breaker, advance } = newBreaker();
    for (let n = 0; n < 10; n++) breaker.failed();
    advance(PAUSE_MS_MIN);
    expect(breaker.takesProbe()).toBe(true);
  });

  it("probes again if nothing becomes of a probe", () => {
    const { breaker, advance } = newBreaker();
    breaker.failed();
    advance(PAUSE_MS_MIN);
    expect(breaker.takesProbe()).toBe(true);
    advance(PAUSE_MS_MIN);
    expect(breaker.takesProbe()).toBe(true);
  });

  it("opens when reads are late again and again, not when many are late at once", () => {
    const { breaker, advance } = newBreaker();
    for (let n = 0; n < 100; n++) breaker.late();
    expect(breaker.isOpen).toBe(false);
    for (let n = 0; n < LATE_MAX; n++) {
      advance(READ_MS_MAX);
      breaker.late();
    }
    expect(breaker.isOpen).toBe(true);
  });

  it("forgets a late read once one was answered in time", () => {
    const { breaker, advance } = newBreaker();
    for (let n = 0; n < 10; n++) {
      advance(READ_MS_MAX);
      breaker.late();
      breaker.answered();
    }
    expect(breaker.isOpen).toBe(false);
  });
});
