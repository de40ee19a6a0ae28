import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Queued } from "../../../../src/core/memory/eviction-queue.js";
import { S3Fifo } from "../../../../src/core/memory/s3-fifo.js";

interface Item extends Queued {
  readonly name: string;
}

let hash = 0;

const newItem = (name: string): Item => ({ name, hash: hash++, uses: 0 });

describe("S3Fifo", () => {
  it("gives each item that it holds once, and counts exactly", () => {
    const step = fc.record({
      act: fc.constantFrom("add", "add", "touch", "touch", "touch", "delete", "pop"),
      which: fc.nat(29),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200, size: "max" }), (steps) => {
        const items = Array.from({ length: 30 }, (_, n) => newItem(String(n)));
        const held = new Set<Item>();
        let heapBytes = 0;
        const queue = new S3Fifo<Item>(1, (bytes) => {
          heapBytes += bytes;
        });
        const pop = () => {
          const victim = queue.pop();
          expect(victim === undefined).toBe(held.size === 0);
          if (victim !== undefined) expect(held.delete(victim)).toBe(true);
        };
        for (const { act, which } of steps) {
          const item = items[which]!;
          if (act === "add" && !held.has(item)) {
            queue.add(item);
            held.add(item);
          } else if (act === "touch" && held.has(item)) {
            queue.touch(item);
          } else if (act === "delete") {
            queue.delete(item);
            held.delete(item);
          } else if (act === "pop") {
            pop();
          }
          expect(queue.size).toBe(held.size);
          expect(heapBytes).toBeGreaterThanOrEqual(0);
        }
        while (held.size > 0) pop();
        expect([queue.size, heapBytes]).toEqual([0, 0]);
      }),
    );
  });
});
