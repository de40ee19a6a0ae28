import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PAGE_BYTES, slabCost } from "../../../../src/core/memory/byte-slab.js";
import { checkedSlab } from "../../../support/core/checked-slab.js";

const KIB = 1024;

const LARGEST = 260 * KIB;

/** Numbers below 1 that look random and are always the same. */
function* numbers(seed: number): Generator<number, never> {
  let state = seed;
  for (;;) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    yield state / 2 ** 32;
  }
}

describe("ByteSlab", () => {
  it("keeps every live byte through any order of allocations, frees and turns", () => {
    const step = fc.record({
      act: fc.constantFrom("allocate", "allocate", "free", "turn"),
      size: fc.integer({ min: 1, max: LARGEST }),
      which: fc.nat(),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 60, maxLength: 150, size: "max" }), (steps) => {
        const checked = checkedSlab();
        for (const { act, size, which } of steps) {
          if (act === "allocate") checked.allocate(size);
          else if (act === "turn") checked.turns.next();
          else if (checked.live.length > 0) checked.free(which % checked.live.length);
          checked.check();
        }
      }),
      { numRuns: 12 },
    );
  });

  it.each<[string, (random: number) => number]>([
    ["small ranges", (random) => 100 + Math.floor(random * 2000)],
    ["ranges of 100 bytes to 260 KiB", (random) => Math.floor(100 * (LARGEST / 100) ** random)],
    ["large ranges", (random) => Math.floor(LARGEST * (0.5 + random / 2))],
    ["ranges of one size", () => 900],
  ])("takes little more memory than what is live is counted to cost, under long churn: %s", (_, sizeOf) => {
    const checked = checkedSlab();
    const random = numbers(7);
    const next = () => random.next().value;
    const budget = 16 * PAGE_BYTES;
    let counted = 0;
    let allocated = 0;
    let turnBytes = 0;
    while (allocated < 4 * budget) {
      const size = sizeOf(next());
      while (counted + slabCost(size) > budget) {
        counted -= slabCost(checked.free(Math.floor(next() * checked.live.length)));
      }
      checked.allocate(size);
      allocated += size;
      turnBytes += size;
      counted += slabCost(size);
      if (turnBytes < 4 * PAGE_BYTES) continue;
      turnBytes = 0;
      // Pages emptied in a turn are used again only after it.
      expect(checked.slab.pageBytes).toBeLessThan(counted + 15 * PAGE_BYTES);
      checked.turns.next();
      expect(checked.slab.pageBytes).toBeLessThan(counted + 5 * PAGE_BYTES);
    }
    checked.check();
  });

  it("moves a few bytes for each allocated byte, and continues where it was", () => {
    const checked = checkedSlab();
    for (let n = 0; n < 16 * KIB; n++) checked.allocate(KIB);
    // A quarter stays, scattered over 16 pages.
    for (let which = checked.live.length - 1; which >= 0; which--) if (which % 4 !== 0) checked.free(which);
    const survivors = checked.live.slice();
    const pagesBefore = checked.slab.pageBytes;
    let moved = 0;
    while (survivors.length > 0 && moved < 2048) {
      const places = survivors.map(({ owner }) => owner.range);
      checked.allocate(KIB);
      const movedNow = survivors.filter(({ owner }, n) => owner.range !== places[n]).length;
      expect(movedNow).toBeGreaterThan(0);
      expect(movedNow).toBeLessThanOrEqual(8);
      moved += movedNow;
    }
    checked.turns.next();
    expect(checked.slab.pageBytes).toBeLessThan(pagesBefore - 2 * PAGE_BYTES);
    checked.check();
  });
});
