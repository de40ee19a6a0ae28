import { describe, expect, it } from "vitest";
import type { Queued } from "../../../../src/core/memory/eviction-queue.js";
import { S3Fifo } from "../../../../src/core/memory/s3-fifo.js";

interface Item extends Queued {
  readonly name: string;
}

let hash = 0;

const newItem = (name: string): Item => ({ name, hash: hash++, uses: 0 });

function newQueue() {
  const charged = { heapBytes: 0 };
  const queue = new S3Fifo<Item>(1, (heapBytes) => {
    charged.heapBytes += heapBytes;
  });
  return { queue, charged };
}

function addAll(queue: S3Fifo<Item>, names: string): Item[] {
  return [...names].map((name) => {
    const item = newItem(name);
    queue.add(item);
    return item;
  });
}

/** As a cache that is full: each item that comes evicts another. */
function replaceAll(queue: S3Fifo<Item>, names: string): string {
  let evicted = "";
  for (const name of names) {
    evicted += queue.pop()!.name;
    addAll(queue, name);
  }
  return evicted;
}

describe("S3Fifo", () => {
  it("evicts items in the order in which they came while none is used", () => {
    const { queue } = newQueue();
    addAll(queue, "abcd");
    expect(replaceAll(queue, "efgh")).toBe("abcd");
    expect(queue.size).toBe(4);
  });

  it("evicts an item that was used since it came later than unused items", () => {
    const { queue } = newQueue();
    const [a] = addAll(queue, "abcd");
    queue.touch(a!);
    expect(replaceAll(queue, "efg")).toBe("bcd");
  });

  it("keeps what is used again and again through any number of items that are used once", () => {
    const { queue } = newQueue();
    const [a] = addAll(queue, "abcd");
    for (let n = 0; n < 100; n++) {
      queue.touch(a!);
      expect(replaceAll(queue, "x")).not.toBe("a");
    }
  });

  it("gives an item in the main queue one round for each use, three at most", () => {
    const { queue } = newQueue();
    const [a] = addAll(queue, "abcd");
    queue.touch(a!);
    // It is in the main queue from here on.
    replaceAll(queue, "e");
    for (let use = 0; use < 9; use++) queue.touch(a!);
    let evicted = "";
    while (queue.size > 1) evicted += queue.pop()!.name;
    expect(evicted).toBe("cde");
    expect(queue.pop()).toBe(a);
  });

  it("keeps an item that comes back soon after its eviction, unlike new items", () => {
    const { queue } = newQueue();
    const [a] = addAll(queue, "abcdefghij");
    replaceAll(queue, "kl");
    expect(queue.pop()!.name).toBe("c");
    queue.add(a!);
    expect(replaceAll(queue, "mnopqrstuvwx")).not.toContain("a");
  });

  it("treats an item that comes back late as new", () => {
    const { queue } = newQueue();
    const [a] = addAll(queue, "abcdefghij");
    replaceAll(queue, "klmnopqrst");
    queue.pop();
    queue.add(a!);
    expect(replaceAll(queue, "0123456789")).toContain("a");
  });

  it("keeps an item that comes back soon after it was deleted", () => {
    const { queue } = newQueue();
    addAll(queue, "abcdefghij");
    replaceAll(queue, "k");
    const [l] = addAll(queue, "l");
    queue.delete(l!);
    queue.add(l!);
    expect(replaceAll(queue, "mnopqrstuvwx")).not.toContain("l");
  });

  it("ignores the deletion of what it does not hold", () => {
    const { queue } = newQueue();
    const [a] = addAll(queue, "ab");
    queue.delete(a!);
    queue.delete(a!);
    expect(queue.size).toBe(1);
    expect(queue.pop()!.name).toBe("b");
    expect(queue.pop()).toBeUndefined();
  });

  it("looks at a bounded number of items, however many were used however often", () => {
    const { queue } = newQueue();
    let looks = 0;
    for (let n = 0; n < 1000; n++) {
      let uses = 0;
      const item: Item = {
        ...newItem(String(n)),
        get uses() {
          looks += 1;
          return uses;
        },
        set uses(now: number) {
          uses = now;
        },
      };
      queue.add(item);
      for (let use = 0; use < 5; use++) queue.touch(item);
    }
    looks = 0;
    expect(queue.pop()).toBeDefined();
    expect(looks).toBeLessThan(100);
  });

  it("counts the memory of its ghosts, and frees it when it is empty", () => {
    const { queue, charged } = newQueue();
    const items = Array.from({ length: 1000 }, () => newItem("x"));
    for (const item of items) queue.add(item);
    queue.pop();
    expect(charged.heapBytes).toBe(1024 * 8);
    for (const item of items.slice(1, -1)) queue.delete(item);
    expect(charged.heapBytes).toBeGreaterThan(0);
    queue.pop();
    expect([queue.size, charged.heapBytes]).toEqual([0, 0]);
  });
});
