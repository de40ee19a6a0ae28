import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Queued } from "../../../../src/core/memory/eviction-queue.js";
import { ShardedLru } from "../../../../src/core/memory/sharded-lru.js";

interface Item extends Queued {
  readonly name: string;
}

let hash = 0;

const newItem = (name: string): Item => ({ name, hash: hash++, lastUse: 0 });

describe("ShardedLru", () => {
  it("gives nothing that was used far later than something that stays, and counts exactly", () => {
    const step = fc.record({
      act: fc.constantFrom("add", "add", "touch", "touch", "touch", "delete", "pop"),
      which: fc.nat(29),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200, size: "max" }), (steps) => {
        const items = Array.from({ length: 30 }, (_, n) => newItem(String(n)));
        /** When each held item was last used, in additions. */
        const held = new Map<Item, number>();
        let additions = 0;
        let heapBytes = 0;
        const lru = new ShardedLru<Item>(1, (bytes) => {
          heapBytes += bytes;
        });
        const pop = () => {
          const victim = lru.pop();
          expect(victim === undefined).toBe(held.size === 0);
          if (victim === undefined) return;
          const usedAt = held.get(victim)!;
          held.delete(victim);
          // Of the most that it ever holds.
          const eighth = 30 >> 3;
          for (const other of held.values()) expect(usedAt).toBeLessThanOrEqual(other + eighth);
        };
        for (const { act, which } of steps) {
          const item = items[which]!;
          if (act === "add" && !held.has(item)) {
            lru.add(item);
            held.set(item, ++additions);
          } else if (act === "touch" && held.has(item)) {
            lru.touch(item);
            held.set(item, additions);
          } else if (act === "delete") {
            lru.delete(item);
            held.delete(item);
          } else if (act === "pop") {
            pop();
          }
          expect(lru.size).toBe(held.size);
          expect(heapBytes > 0).toBe(held.size > 0);
        }
        while (held.size > 0) pop();
        expect([lru.size, heapBytes]).toEqual([0, 0]);
      }),
    );
  });
});
