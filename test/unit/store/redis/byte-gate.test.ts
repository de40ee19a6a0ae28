import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ByteGate } from "../../../../src/store/redis/byte-gate.js";

describe("a byte gate", () => {
  let gate: ByteGate;
  beforeEach(() => {
    vi.useFakeTimers();
    gate = new ByteGate(100, 1000);
  });
  afterEach(() => vi.useRealTimers());

  /** What became of those who want in so far, in order: undefined for those who wait. */
  function enterAll(...sizes: number[]) {
    const outcomes: (boolean | undefined)[] = sizes.map(() => undefined);
    for (const [at, bytes] of sizes.entries()) {
      void gate.enter(bytes).then((isIn) => {
        outcomes[at] = isIn;
      });
    }
    return async () => {
      await vi.advanceTimersByTimeAsync(0);
      return outcomes;
    };
  }

  it("lets in what there is room for, and nobody who needs some past one who waits", async () => {
    const outcomes = enterAll(60, 40, 50, 10, 0);
    expect(await outcomes()).toEqual([true, true, undefined, undefined, true]);
    gate.leave(40);
    expect(await outcomes()).toEqual([true, true, undefined, undefined, true]);
    gate.leave(60);
    expect(await outcomes()).toEqual([true, true, true, true, true]);
  });

  it("sends away who waited for too long, and lets in who waited behind it for less room", async () => {
    const outcomes = enterAll(60, 50);
    await vi.advanceTimersByTimeAsync(900);
    const later = enterAll(30);
    expect([...(await outcomes()), ...(await later())]).toEqual([true, undefined, undefined]);
    await vi.advanceTimersByTimeAsync(100);
    expect([...(await outcomes()), ...(await later())]).toEqual([true, false, true]);
  });
});
