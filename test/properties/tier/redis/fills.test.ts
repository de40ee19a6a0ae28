import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { FILL_BYTES_MAX, FILLS_MAX } from "../../../../src/tier/redis/limits.js";
import { openFills, turns } from "../../../support/tier/open-fills.js";
import { ALPHA, entryOf } from "../../../support/tier/use-tiers.js";

beforeEach(() => vi.useFakeTimers());

afterEach(() => vi.useRealTimers());

const turn = () => vi.advanceTimersByTimeAsync(0);

const least = (n: number) => entryOf(n, { redaction: undefined });

const all = (count: number) => Array.from({ length: count }, (_, n) => least(n));

describe("fills of the tier", () => {
  it.each([
    ["entries", () => all(FILLS_MAX + 10), FILLS_MAX],
    [
      "bytes",
      () => all(100).map((_, n) => entryOf(n, { body: Buffer.alloc(256 * 1024), redaction: undefined })),
      Math.floor(FILL_BYTES_MAX / (257 * 1024)),
    ],
  ])("are dropped beyond the bound of %s, until replies make room", async (_, entries, admitted) => {
    const { fills, failures, received } = await openFills();
    await turn();
    const many = entries();
    fills.put(ALPHA, many);
    expect(fills.dropped).toBe(many.length - admitted);
    expect(failures.counts.overload).toBe(fills.dropped);
    await turns(300);
    expect(received()).toHaveLength(2 * admitted);
    const { dropped } = fills;
    fills.put(ALPHA, [least(1)]);
    expect(fills.dropped).toBe(dropped + (_ === "entries" ? 1 : 0));
    for (const one of received()) one.answer("OK");
    await turn();
    expect(fills.written).toBe(admitted);
    fills.put(ALPHA, many);
    expect(fills.dropped - dropped).toBeLessThanOrEqual(many.length - admitted + 1);
  });
});
