import { describe, expect, it } from "vitest";
import type { Queued } from "../../../../src/core/memory/eviction-queue.js";
import { ShardedLru, shardCount } from "../../../../src/core/memory/sharded-lru.js";

const MIB = 1024 * 1024;

interface Item extends Queued {
  readonly name: string;
}

function newLru(shards = 1) {
  const charged = { heapBytes: 0 };
  const lru = new ShardedLru<Item>(shards, (heapBytes) => {
    charged.heapBytes += heapBytes;
  });
  return { lru, charged };
}

let hash = 0;

const newItem = (name: string): Item => ({ name, hash: hash++, lastUse: 0 });

function addAll(lru: ShardedLru<Item>, names: string): Item[] {
  return [...names].map((name) => {
    const item = newItem(name);
    lru.add(item);
    return item;
  });
}

function popAll(lru: ShardedLru<Item>): string {
  let names = "";
  for (let item = lru.pop(); item !== undefined; item = lru.pop()) names += item.name;
  return names;
}

describe("ShardedLru", () => {
  it("gives items in the order of last use", () => {
    const { lru } = newLru();
    const [a, b] = addAll(lru, "abcd");
    lru.touch(a!);
    lru.delete(b!);
    lru.add(b!);
    expect(lru.size).toBe(4);
    expect(popAll(lru)).toBe("cdab");
    expect(lru.pop()).toBeUndefined();
  });

  it("ignores the deletion and the use of absent keys", () => {
    const { lru } = newLru();
    const [a] = addAll(lru, "ab");
    lru.delete(a!);
    lru.delete(a!);
    lru.touch(a!);
    expect(lru.size).toBe(1);
    expect(popAll(lru)).toBe("b");
  });

  it.each([
    ["spares an item the move that is among the newest eighth", "qr", "bcdefghijklmnopaqr"],
    ["moves an item as soon as it is older than the newest eighth", "qrs", "bcdefghijklmnopqrsa"],
  ])("%s", (_, added, order) => {
    const { lru } = newLru();
    const [a] = addAll(lru, "abcdefghijklmnop");
    lru.touch(a!);
    addAll(lru, added);
    lru.touch(a!);
    expect(popAll(lru)).toBe(order);
  });

  it("gives the oldest quarter first over many shards", () => {
    const { lru } = newLru(shardCount(160 * MIB));
    for (let n = 0; n < 4000; n++) lru.add(newItem(`${n},`));
    const given = Array.from({ length: 2000 }, () => Number.parseInt(lru.pop()!.name, 10));
    expect(lru.size).toBe(2000);
    // Hashes that spread evenly make it nearly exact.
    expect(given.every((n) => n < 2010)).toBe(true);
  });

  it("finds an item although most shards are empty", () => {
    const { lru } = newLru(8);
    for (const name of "ab") lru.add({ ...newItem(name), hash: 8 });
    expect(popAll(lru)).toBe("ab");
  });

  it("counts the memory of the shards that hold items, and of no others", () => {
    const { lru, charged } = newLru(8);
    const first = newItem("a");
    lru.add(first);
    const one = charged.heapBytes;
    expect(one).toBeGreaterThan(1000);
    lru.add({ ...newItem("b"), hash: first.hash });
    expect(charged.heapBytes).toBe(one);
    lru.add({ ...newItem("c"), hash: first.hash + 1 });
    expect(charged.heapBytes).toBe(2 * one);
    lru.delete(first);
    expect(charged.heapBytes).toBe(2 * one);
    popAll(lru);
    expect(charged.heapBytes).toBe(0);
  });

  it("keeps the order when a shard has shrunk and is made anew", () => {
    const { lru } = newLru();
    const items = Array.from({ length: 2000 }, (_, n) => newItem(`${n},`));
    for (const item of items) lru.add(item);
    for (const item of items.slice(0, 1990)) lru.delete(item);
    lru.touch(items[1995]!);
    expect(popAll(lru)).toBe("1990,1991,1992,1993,1994,1996,1997,1998,1999,1995,");
    expect(lru.size).toBe(0);
  });

  it("has one shard at the smallest budget, and none too large for one Map", () => {
    expect(shardCount(20 * MIB)).toBe(1);
    expect(shardCount(160 * MIB)).toBe(8);
    expect(shardCount(2 ** 50)).toBe(4096);
  });
});
