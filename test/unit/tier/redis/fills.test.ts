import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Failures } from "../../../../src/tier/redis/failures.js";
import { Fills } from "../../../../src/tier/redis/fills.js";
import { KeyNames } from "../../../../src/tier/redis/keys.js";
import { FILL_BYTES_MAX, FILLS_AT_ONCE_MAX, FILLS_MAX } from "../../../../src/tier/redis/limits.js";
import { Link } from "../../../../src/tier/redis/link.js";
import { MetadataCodec } from "../../../../src/tier/redis/metadata.js";
import { FakeConnection } from "../../../support/tier/fake-connection.js";
import { ALPHA, entryOf, idOf, SECRET } from "../../../support/tier/use-tiers.js";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

const turn = () => vi.advanceTimersByTimeAsync(0);
const turns = async (count: number) => {
  for (let n = 0; n < count; n++) await vi.advanceTimersByTimeAsync(1);
};
const clock = () => vi.getMockedSystemTime()!.getTime();

async function openFills() {
  const failures = new Failures({ connected: () => {}, failed: () => {} }, clock);
  let connection!: FakeConnection;
  const link = new Link(
    (onLost) => {
      connection = new FakeConnection(onLost);
      return connection;
    },
    clock,
    { connected: () => {}, disconnected: () => {}, failed: () => {} },
  );
  const fills = new Fills({
    ...{ link, failures, ttlMs: 60_000, wallClock: clock },
    names: new KeyNames("test"),
    codec: new MetadataCodec(SECRET),
  });
  return { fills, failures, received: () => connection.received };
}

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
