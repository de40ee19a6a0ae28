import { describe, expect, it } from "vitest";
import type { Bounded, Bounds, Cost } from "../../../../src/core/memory/bounded-cache.js";
import { ShardedLru } from "../../../../src/core/memory/sharded-lru.js";

const MIB = 1024 * 1024;

interface Item extends Bounded {
  readonly name: string;
}

function newLru(bounds: Partial<Bounds> = {}) {
  const evicted: string[] = [];
  const lru: ShardedLru<Item> = new ShardedLru<Item>(
    { bytesMax: 1000, heapBytesMax: 1000, entriesMax: 100, ...bounds },
    (item) => evicted.push(item.name),
  );
  return { lru, evicted };
}

const cost = (bytes: number, heapBytes = 0): Cost => ({ bytes, heapBytes });

let hash = 0;

const newItem = (name: string): Item => ({ name, hash: hash++, cost: cost(0), lastUse: 0 });

function addAll(lru: ShardedLru<Item>, names: string, each: Cost): Item[] {
  return [...names].map((name) => {
    const item = newItem(name);
    lru.add(item, each);
    return item;
  });
}

describe("ShardedLru", () => {
  it("counts what it holds, and nothing once it is empty", () => {
    const { lru } = newLru();
    const [a, b] = addAll(lru, "ab", cost(100, 30));
    expect(lru.stats()).toEqual({ entries: 2, bytes: 200, bytesMax: 1000, heapBytes: 60, evictions: 0 });
    lru.delete(a!);
    lru.delete(b!);
    expect(lru.stats()).toEqual({ entries: 0, bytes: 0, bytesMax: 1000, heapBytes: 0, evictions: 0 });
  });

  it.each<[string, Partial<Bounds>, Cost]>([
    ["bytes", { bytesMax: 300 }, cost(100)],
    ["heap bytes", { heapBytesMax: 90 }, cost(100, 30)],
    ["entries", { entriesMax: 3 }, cost(100)],
  ])("fills its bound exactly, then drops the oldest for the new: %s", (_, bounds, each) => {
    const { lru, evicted } = newLru(bounds);
    addAll(lru, "abc", each);
    expect(evicted).toEqual([]);
    addAll(lru, "de", each);
    expect(evicted).toEqual(["a", "b"]);
    expect(lru.stats()).toMatchObject({ entries: 3, evictions: 2 });
  });

  it("drops in the order of last use", () => {
    const { lru, evicted } = newLru({ entriesMax: 4 });
    const [a, b] = addAll(lru, "abcd", cost(1));
    lru.touch(a!);
    lru.resize(b!, cost(2));
    addAll(lru, "efgh", cost(1));
    expect(evicted).toEqual(["c", "d", "a", "b"]);
  });

  it("drops as many as the new item needs, and never the new item, even if it is larger than the bound", () => {
    const { lru, evicted } = newLru();
    addAll(lru, "abc", cost(300));
    addAll(lru, "d", cost(500));
    expect(evicted).toEqual(["a", "b"]);
    addAll(lru, "e", cost(1500));
    expect(evicted).toEqual(["a", "b", "c", "d"]);
    expect(lru.stats()).toMatchObject({ entries: 1, bytes: 1500 });
    addAll(lru, "f", cost(1));
    expect(evicted.at(-1)).toBe("e");
    expect(lru.stats()).toMatchObject({ entries: 1, bytes: 1 });
  });

  it("makes room when an item grows, but not by the item itself", () => {
    const { lru, evicted } = newLru();
    const [a] = addAll(lru, "abc", cost(300));
    lru.resize(a!, cost(700, 7));
    expect(evicted).toEqual(["b"]);
    expect(a!.cost).toEqual(cost(700, 7));
    expect(lru.stats()).toMatchObject({ entries: 2, bytes: 1000, heapBytes: 7 });
    lru.resize(a!, cost(10));
    expect(lru.stats()).toMatchObject({ entries: 2, bytes: 310, heapBytes: 0 });
  });

  it("counts charges against both bounds, and takes them back", () => {
    const { lru, evicted } = newLru();
    addAll(lru, "ab", cost(400, 10));
    lru.charge(150);
    expect(lru.stats()).toMatchObject({ bytes: 950, heapBytes: 170 });
    addAll(lru, "c", cost(100));
    expect(evicted).toEqual(["a"]);
    lru.charge(-150);
    expect(lru.stats()).toMatchObject({ entries: 2, bytes: 500, heapBytes: 10 });
  });

  it("tells of an eviction when the item is gone from the counts", () => {
    const seen: unknown[] = [];
    const lru: ShardedLru<Item> = new ShardedLru<Item>(
      { bytesMax: 100, heapBytesMax: 100, entriesMax: 9 },
      (item) => {
        const { entries, bytes, heapBytes, evictions } = lru.stats();
        seen.push([item.name, entries, bytes, heapBytes, evictions]);
        // What a callback takes back counts before the next item is chosen.
        lru.charge(-50);
      },
    );
    addAll(lru, "ab", cost(25, 5));
    lru.charge(50);
    addAll(lru, "c", cost(25));
    expect(seen).toEqual([["a", 1, 75, 55, 1]]);
  });

  it("ignores the deletion and the use of absent keys", () => {
    const { lru } = newLru();
    const [a] = addAll(lru, "ab", cost(10));
    lru.delete(a!);
    lru.delete(a!);
    lru.touch(a!);
    expect(lru.stats()).toMatchObject({ entries: 1, bytes: 10, evictions: 0 });
  });

  it("stays inside its bounds over many shards, and drops the oldest quarter first", () => {
    const { lru, evicted } = newLru({ bytesMax: 160 * MIB, heapBytesMax: 1e9, entriesMax: 1e9 });
    for (let n = 0; n < 4000; n++) {
      lru.add(newItem(String(n)), cost(80 * 1024, 100));
      if (lru.stats().bytes > 160 * MIB) throw new Error("above the bound");
    }
    expect(lru.stats().entries).toBe(2048);
    expect(evicted).toHaveLength(4000 - 2048);
    // Hashes that spread evenly make it nearly exact.
    expect(evicted.every((name) => Number(name) < 2000)).toBe(true);
  });

  it("finds something to drop although most shards are empty", () => {
    const { lru, evicted } = newLru({ bytesMax: 160 * MIB, heapBytesMax: 1e9, entriesMax: 2 });
    for (const name of "abcd") lru.add({ ...newItem(name), hash: 8 }, cost(1));
    expect(evicted).toEqual(["a", "b"]);
  });

  it.each([
    ["spares an item the move that is among the newest eighth", "qr", "defghijklmnopaq"],
    ["moves an item as soon as it is older than the newest eighth", "qrs", "efghijklmnopqrs"],
  ])("%s", (_, added, gone) => {
    const { lru, evicted } = newLru({ entriesMax: 16 });
    const [a] = addAll(lru, "abcdefghijklmnop", cost(1));
    lru.touch(a!);
    addAll(lru, added, cost(1));
    lru.touch(a!);
    evicted.length = 0;
    addAll(lru, "0123456789ABCDE", cost(1));
    expect(evicted.join("")).toBe(gone);
  });
});
