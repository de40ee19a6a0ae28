import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ByteSlab, PAGE_BYTES, type RangeOwner, slabCost } from "../../../../src/core/memory/byte-slab.js";
import type { ByteRange } from "../../../../src/core/model/types.js";
import { laterTurns } from "../rules/parts.js";

const KIB = 1024;
const LARGEST = 260 * KIB;

/** A slab beside a model that knows what every range should hold: one number, in every byte. */
function checkedSlab() {
  const turns = laterTurns();
  const slab = new ByteSlab(turns.defer);
  const live: { readonly owner: RangeOwner; readonly size: number; readonly fill: number }[] = [];
  let count = 0;
  return {
    slab,
    turns,
    live,
    allocate(size: number): RangeOwner {
      const owner: RangeOwner = { frame: undefined };
      const fill = count++ % 251;
      const range = slab.allocate(owner, size);
      range.bytes.fill(fill, range.start, range.end);
      live.push({ owner, size, fill });
      return owner;
    },
    /** Frees one of the live ranges, whose last then takes its place in the list. */
    free(which: number): number {
      const freed = live[which]!;
      const last = live.pop()!;
      if (freed !== last) live[which] = last;
      slab.free(freed.owner);
      return freed.size;
    },
    check(): void {
      for (const { owner, size, fill } of live) {
        if (!holds(owner.frame!, size, fill)) throw new Error("bytes were lost");
      }
    },
  };
}

function holds({ bytes, start, end }: ByteRange, size: number, fill: number): boolean {
  return end - start === size && bytes.subarray(start, end).equals(Buffer.alloc(size, fill));
}

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
    ["small frames", (random) => 100 + Math.floor(random * 2000)],
    ["frames of 100 bytes to 260 KiB", (random) => Math.floor(100 * (LARGEST / 100) ** random)],
    ["large frames", (random) => Math.floor(LARGEST * (0.5 + random / 2))],
    ["frames of one size", () => 900],
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

  it("leaves a freed range readable until the turn ends, then throws instead of showing other bytes", () => {
    const checked = checkedSlab();
    const owners = Array.from({ length: 40 }, () => checked.allocate(LARGEST));
    const read = owners.map((owner, fill) => ({ range: owner.frame!, fill }));
    const intact = () => read.filter(({ range, fill }) => holds(range, LARGEST, fill)).length;
    // Some are freed and some moved, and their pages are empty, while they are read.
    while (checked.live.length > 10) checked.free(checked.live.length - 1);
    for (let n = 0; n < 100; n++) {
      checked.allocate(LARGEST);
      checked.free(checked.live.length - 1);
    }
    expect(intact()).toBe(40);
    checked.turns.next();
    for (const { range, fill } of read) {
      if (owners[fill]!.frame === range) expect(holds(range, LARGEST, fill)).toBe(true);
      else expect(() => range.bytes).toThrow("after they had been freed");
    }
    checked.check();
  });

  it("uses an empty page again in a later turn, and gives all but a few back", () => {
    const checked = checkedSlab();
    for (let n = 0; n < 40; n++) checked.allocate(PAGE_BYTES);
    const pages = new Set(checked.live.map(({ owner }) => owner.frame!.bytes));
    expect(pages.size).toBe(40);
    while (checked.live.length > 0) checked.free(0);
    expect(checked.turns.pending).toBe(1);
    expect(checked.slab.pageBytes).toBe(40 * PAGE_BYTES);
    checked.turns.next();
    expect(checked.slab.pageBytes).toBe(2 * PAGE_BYTES);
    const again = checked.allocate(10);
    expect(checked.slab.pageBytes).toBe(2 * PAGE_BYTES);
    expect(pages.has(again.frame!.bytes)).toBe(true);
  });

  it("keeps an open page open when its last range is freed, and empties it when it is full", () => {
    const checked = checkedSlab();
    const first = checked.allocate(PAGE_BYTES / 2);
    const { bytes } = first.frame!;
    checked.free(0);
    checked.turns.next();
    expect(checked.allocate(PAGE_BYTES / 2).frame).toMatchObject({ start: PAGE_BYTES / 2, end: PAGE_BYTES });
    checked.free(0);
    expect(checked.allocate(1).frame!.bytes).not.toBe(bytes);
    expect(checked.turns.pending).toBe(1);
    checked.turns.next();
    expect(checked.slab.pageBytes).toBe(2 * PAGE_BYTES);
  });

  it("overwrites what was freed or moved once the turn has ended, and nothing else", () => {
    const checked = checkedSlab();
    const sizes = Array.from({ length: 3 * 1024 }, () => KIB);
    const pages = new Set(sizes.map((size) => checked.allocate(size).frame!.bytes));
    const freed = [];
    for (let n = 0; n < 2000; n++) {
      const { owner, fill } = checked.live[0]!;
      const { bytes, start, end } = owner.frame!;
      checked.free(0);
      freed.push({ bytes, start, end, fill });
    }
    expect(freed.every((range) => holds(range, KIB, range.fill))).toBe(true);
    // Compaction moves live ranges, and leaves nothing of them behind.
    for (let n = 0; n < 1000; n++) checked.allocate(16);
    checked.turns.next();
    checked.check();
    const liveBytes = checked.live.reduce((sum, { size, fill }) => sum + (fill === 0 ? 0 : size), 0);
    const all = new Set([...pages, ...checked.live.map(({ owner }) => owner.frame!.bytes)]);
    let written = 0;
    for (const bytes of all) for (const byte of bytes) if (byte !== 0) written += 1;
    expect(written).toBe(liveBytes);
  });

  it("takes nothing back from an owner that has nothing", () => {
    const checked = checkedSlab();
    const owner: RangeOwner = { frame: undefined };
    checked.slab.free(owner);
    expect(owner.frame).toBeUndefined();
    expect(checked.slab.pageBytes).toBe(0);
  });

  it("moves nothing while an eighth of the space and a page more may be dead", () => {
    const checked = checkedSlab();
    for (let n = 0; n < 64; n++) checked.allocate(PAGE_BYTES / 4);
    const places = () => checked.live.map(({ owner }) => owner.frame);
    // Of 16 pages, 12 quarters are dead: two pages and one.
    for (let freed = 0; freed < 12; freed++) checked.free(freed * 4);
    const before = places();
    checked.allocate(1);
    expect(places().slice(0, before.length)).toEqual(before);
    checked.free(1);
    checked.free(1);
    checked.allocate(1);
    checked.allocate(1);
    expect(
      places()
        .slice(0, 40)
        .some((place, n) => place !== before[n] && n > 1),
    ).toBe(true);
    checked.check();
  });
});

describe("compaction", () => {
  it("moves a few bytes for each that is allocated, and goes on where it was", () => {
    const checked = checkedSlab();
    for (let n = 0; n < 16 * KIB; n++) checked.allocate(KIB);
    // A quarter stays, scattered over 16 pages.
    for (let which = checked.live.length - 1; which >= 0; which--) if (which % 4 !== 0) checked.free(which);
    const survivors = checked.live.slice();
    const pagesBefore = checked.slab.pageBytes;
    let moved = 0;
    while (survivors.length > 0 && moved < 2048) {
      const places = survivors.map(({ owner }) => owner.frame);
      checked.allocate(KIB);
      const movedNow = survivors.filter(({ owner }, n) => owner.frame !== places[n]).length;
      expect(movedNow).toBeGreaterThan(0);
      expect(movedNow).toBeLessThanOrEqual(8);
      moved += movedNow;
    }
    checked.turns.next();
    expect(checked.slab.pageBytes).toBeLessThan(pagesBefore - 2 * PAGE_BYTES);
    checked.check();
  });
});

describe("slabCost", () => {
  it("counts the dead space that is tolerated, and for large ranges the end of a page where none fits", () => {
    expect(slabCost(700)).toBe(Math.ceil((716 * 8) / 7));
    expect(slabCost(64 * KIB)).toBe(Math.ceil(((64 * KIB + 16) * 8) / 7));
    expect(slabCost(64 * KIB + 1)).toBe(Math.ceil((Math.ceil(PAGE_BYTES / 15) * 8) / 7));
    expect(slabCost(LARGEST)).toBe(Math.ceil((Math.ceil(PAGE_BYTES / 3) * 8) / 7));
  });
});
