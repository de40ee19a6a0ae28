import { describe, expect, it } from "vitest";
import type { Queued } from "../../../../src/core/memory/eviction-queue.js";
import { ShardedQueue, shardCount } from "../../../../src/core/memory/sharded-queue.js";

const MIB = 1024 * 1024;

interface Item extends Queued {
  readonly name: string;
}

function newQueue(shards = 1) {
  const charged = { heapBytes: 0 };
  const queue = new ShardedQueue<Item>(shards, (heapBytes) => {
    charged.heapBytes += heapBytes;
  });
  return { queue, charged };
}

let hash = 0;

const newItem = (name: string): Item => ({ name, hash: hash++, uses: 0 });

function addAll(queue: ShardedQueue<Item>, names: string): Item[] {
  return [...names].map((name) => {
    const item = newItem(name);
    queue.push(item);
    return item;
  });
}

function shiftAll(queue: ShardedQueue<Item>): string {
  let names = "";
  for (let item = queue.shift(); item !== undefined; item = queue.shift()) names += item.name;
  return names;
}

describe("ShardedQueue", () => {
  it("gives items in the order in which they came", () => {
    const { queue } = newQueue();
    const [, b] = addAll(queue, "abcd");
    queue.delete(b!);
    queue.push(b!);
    expect(queue.size).toBe(4);
    expect(shiftAll(queue)).toBe("acdb");
    expect(queue.shift()).toBeUndefined();
  });

  it("says whether it held the item that was to be deleted", () => {
    const { queue } = newQueue();
    const [a] = addAll(queue, "ab");
    expect(queue.delete(a!)).toBe(true);
    expect(queue.delete(a!)).toBe(false);
    expect(queue.size).toBe(1);
    expect(shiftAll(queue)).toBe("b");
  });

  it("gives the oldest quarter first over many shards", () => {
    const { queue } = newQueue(shardCount(160 * MIB));
    for (let n = 0; n < 4000; n++) queue.push(newItem(`${n},`));
    const given = Array.from({ length: 2000 }, () => Number.parseInt(queue.shift()!.name, 10));
    expect(queue.size).toBe(2000);
    // Hashes that spread evenly make it nearly exact.
    expect(given.every((n) => n < 2010)).toBe(true);
  });

  it("finds an item although most shards are empty", () => {
    const { queue } = newQueue(8);
    for (const name of "ab") queue.push({ ...newItem(name), hash: 8 });
    expect(shiftAll(queue)).toBe("ab");
  });

  it("counts the memory of the shards that hold items, but for the first", () => {
    const { queue, charged } = newQueue(8);
    const first = newItem("a");
    queue.push(first);
    queue.push({ ...newItem("b"), hash: first.hash });
    expect(charged.heapBytes).toBe(0);
    queue.push({ ...newItem("c"), hash: first.hash + 1 });
    const one = charged.heapBytes;
    expect(one).toBeGreaterThan(1000);
    queue.push({ ...newItem("d"), hash: first.hash + 2 });
    expect(charged.heapBytes).toBe(2 * one);
    queue.delete(first);
    expect(charged.heapBytes).toBe(2 * one);
    shiftAll(queue);
    expect(charged.heapBytes).toBe(0);
  });

  it("keeps the order when a shard has shrunk and is made anew", () => {
    const { queue } = newQueue();
    const items = Array.from({ length: 2000 }, (_, n) => newItem(`${n},`));
    for (const item of items) queue.push(item);
    for (const item of items.slice(0, 1990)) queue.delete(item);
    expect(shiftAll(queue)).toBe("1990,1991,1992,1993,1994,1995,1996,1997,1998,1999,");
    expect(queue.size).toBe(0);
  });

  it("has one shard at the smallest budget, and none too large for one Map", () => {
    expect(shardCount(20 * MIB)).toBe(1);
    expect(shardCount(160 * MIB)).toBe(8);
    expect(shardCount(2 ** 50)).toBe(4096);
  });
});
