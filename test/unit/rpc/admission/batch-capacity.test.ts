import { describe, expect, it } from "vitest";
import { BatchCapacity, type BatchRoom } from "../../../../src/rpc/admission/batch-capacity.js";

const MIB = 1024 * 1024;

const holder = (homeserver: string) => ({ connection: undefined, homeserver });

function capacity(bytesMax = 8 * MIB) {
  const all = new BatchCapacity(bytesMax, () => 0);
  const served: string[] = [];
  /** Waits under a homeserver's name, which is noted when there is room. */
  const wait = (homeserver: string, gone = new AbortController().signal) =>
    all.wait(holder(homeserver), gone).then((room) => {
      served.push(room === undefined ? `${homeserver} left` : homeserver);
      return room;
    });
  return { all, served, wait };
}

/** Lets promises that are settled run on. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

describe("room for batches", () => {
  it("is taken, resized and given back", () => {
    const { all } = capacity();
    const room = all.take(holder("alpha"), 100);
    expect(all.used).toBe(100);
    room?.resize(30);
    expect(all.used).toBe(30);
    room?.resize(0);
    expect(all.used).toBe(0);
  });

  it("is all one homeserver's while there is no other, and no more than there is", () => {
    const { all } = capacity();
    expect(all.take(holder("alpha"), 8 * MIB)).toBeDefined();
    expect(all.take(holder("alpha"), 1)).toBeUndefined();
  });

  it("is one homeserver's to a quarter while there are several, but always one batch", () => {
    const { all } = capacity(2 * MIB);
    expect(all.take(holder("beta"), 1)).toBeDefined();
    const room = all.take(holder("alpha"), MIB);
    expect(room).toBeDefined();
    expect(all.take(holder("alpha"), 1)).toBeUndefined();
    expect(all.take(holder("beta"), MIB)).toBeUndefined();
    expect(all.take(holder("beta"), MIB - 1)).toBeDefined();
  });

  it("goes to waiting streams in the order of arrival, and to no stream before them", async () => {
    const { all, served, wait } = capacity(2 * MIB);
    const held = all.take(holder("alpha"), 2 * MIB)!;
    const first = wait("alpha");
    void wait("alpha");
    await settled();
    expect(served).toEqual([]);
    held.resize(MIB);
    await settled();
    expect(served).toEqual(["alpha"]);
    expect(all.take(holder("alpha"), 1)).toBeUndefined();
    (await first)?.resize(10);
    held.resize(0);
    await settled();
    expect(served).toEqual(["alpha", "alpha"]);
    expect(all.take(holder("alpha"), 1)).toBeDefined();
  });

  it("does not wait for a homeserver that has used up its share", async () => {
    const { all, served, wait } = capacity();
    const held: (BatchRoom | undefined)[] = [all.take(holder("alpha"), 2 * MIB)];
    held.push(all.take(holder("beta"), 1));
    void wait("alpha");
    void wait("beta");
    await settled();
    expect(served).toEqual(["beta"]);
    held[0]?.resize(0);
    await settled();
    expect(served).toEqual(["beta", "alpha"]);
  });

  it("is not kept for a subscriber that leaves while it waits, or has left before", async () => {
    const { all, served, wait } = capacity();
    const held = all.take(holder("alpha"), 8 * MIB)!;
    const gone = new AbortController();
    void wait("alpha", gone.signal);
    gone.abort();
    void wait("beta", gone.signal);
    held.resize(0);
    await settled();
    expect(served).toEqual(["alpha left", "beta left"]);
    expect(all.used).toBe(0);
  });
});
