import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Bounded, Cost } from "../../../../src/core/memory/bounded-cache.js";
import { ShardedLru } from "../../../../src/core/memory/sharded-lru.js";

interface Item extends Bounded {
  readonly name: string;
}

const cost = (bytes: number, heapBytes = 0): Cost => ({ bytes, heapBytes });

let hash = 0;

const newItem = (name: string): Item => ({ name, hash: hash++, cost: cost(0), lastUse: 0 });

describe("ShardedLru", () => {
  it("drops nothing that was used far later than something that stays, and counts exactly", () => {
    const step = fc.record({
      act: fc.constantFrom("add", "add", "touch", "touch", "touch", "resize", "delete"),
      which: fc.nat(29),
      bytes: fc.integer({ min: 1, max: 400 }),
      heapBytes: fc.nat(400),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200, size: "max" }), (steps) => {
        const items = Array.from({ length: 30 }, (_, n) => newItem(String(n)));
        /** When each held item was last used, in additions, and what it costs. */
        const held = new Map<Item, { cost: Cost; usedAt: number }>();
        let additions = 0;
        const lru: ShardedLru<Item> = new ShardedLru<Item>(
          { bytesMax: 4000, heapBytesMax: 4000, entriesMax: 20 },
          (victim) => {
            // Of the most that it ever holds.
            const eighth = 20 >> 3;
            const { usedAt } = held.get(victim)!;
            held.delete(victim);
            for (const other of held.values()) expect(usedAt).toBeLessThanOrEqual(other.usedAt + eighth);
          },
        );
        const sum = (of: "bytes" | "heapBytes") =>
          [...held.values()].reduce((all, one) => all + one.cost[of], 0);
        for (const { act, which, bytes, heapBytes } of steps) {
          const item = items[which]!;
          const known = held.get(item);
          if (act === "add" && known === undefined) {
            lru.add(item, cost(bytes, heapBytes));
            held.set(item, { cost: cost(bytes, heapBytes), usedAt: ++additions });
          } else if (act === "touch" && known !== undefined) {
            lru.touch(item);
            known.usedAt = additions;
          } else if (act === "resize" && known !== undefined) {
            held.delete(item);
            lru.resize(item, cost(bytes, heapBytes));
            held.set(item, { cost: cost(bytes, heapBytes), usedAt: ++additions });
          } else if (act === "delete") {
            lru.delete(item);
            held.delete(item);
          }
          const stats = lru.stats();
          expect(stats).toMatchObject({
            entries: held.size,
            bytes: sum("bytes"),
            heapBytes: sum("heapBytes"),
          });
          expect(Math.max(stats.bytes, stats.heapBytes)).toBeLessThanOrEqual(4000);
          expect(stats.entries).toBeLessThanOrEqual(20);
        }
      }),
    );
  });
});
