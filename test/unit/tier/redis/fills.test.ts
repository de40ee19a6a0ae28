import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { FILLS_AT_ONCE_MAX } from "../../../../src/tier/redis/limits.js";
import { openFills, turns } from "../../../support/tier/open-fills.js";
import { ALPHA, entryOf, idOf } from "../../../support/tier/use-tiers.js";

beforeEach(() => vi.useFakeTimers());

afterEach(() => vi.useRealTimers());

const turn = () => vi.advanceTimersByTimeAsync(0);

const least = (n: number) => entryOf(n, { redaction: undefined });

const all = (count: number) => Array.from({ length: count }, (_, n) => least(n));

describe("fills of the tier", () => {
  it("are dropped and counted while there is no connection", async () => {
    const { fills } = await openFills();
    fills.put(ALPHA, [least(1)]);
    expect(fills.dropped).toBe(1);
    await turn();
    fills.put(ALPHA, [least(1)]);
    expect(fills.dropped).toBe(1);
  });

  it("copy what they keep before they return", async () => {
    const { fills, received } = await openFills();
    await turn();
    const body = Buffer.from('{"secret":"before"}');
    const internalMetadata = Buffer.from("before");
    fills.put(ALPHA, [entryOf(1, { body, internalMetadata, redaction: undefined })]);
    body.fill(0);
    internalMetadata.fill(0);
    await turn();
    for (const { command } of received()) expect(String(command[2])).toContain("before");
  });

  it("write the body before the metadata that names it, and both before a later removal", async () => {
    const { fills, received } = await openFills();
    await turn();
    fills.put(ALPHA, [least(1)]);
    fills.drop(ALPHA, [idOf(1)]);
    await turn();
    const sent = received().map(({ command }) => [command[0], String(command[1]).slice(0, 7)]);
    expect(sent).toEqual([
      ["SET", "test:b:"],
      ["SET", "test:m:"],
      ["UNLINK", "test:m:"],
    ]);
  });

  it("go out a few in each turn", async () => {
    const { fills, received } = await openFills();
    await turn();
    fills.put(ALPHA, all(3 * FILLS_AT_ONCE_MAX));
    await turn();
    const first = received().length;
    expect(first).toBeLessThan(6 * FILLS_AT_ONCE_MAX);
    await turns(5);
    expect(received()).toHaveLength(6 * FILLS_AT_ONCE_MAX);
  });

  it("that Redis refuses are counted by cause, and make room again", async () => {
    const { fills, failures, received } = await openFills();
    await turn();
    fills.put(ALPHA, all(10));
    await turns(2);
    for (const one of received()) one.refuse(new Error("gone"));
    await turn();
    expect([fills.written, failures.counts.disconnected]).toEqual([0, 10]);
  });
});
