import { describe, expect, it } from "vitest";
import { PAGE_BYTES, type RangeOwner, slabCost } from "../../../../src/core/memory/byte-slab.js";
import { checkedSlab, holds } from "../../../support/core/checked-slab.js";

const KIB = 1024;

const LARGEST = 260 * KIB;

describe("ByteSlab", () => {
  it("leaves a freed range readable until the turn ends, then throws instead of showing other bytes", () => {
    const checked = checkedSlab();
    const owners = Array.from({ length: 40 }, () => checked.allocate(LARGEST));
    const read = owners.map((owner, fill) => ({ range: owner.range!, fill }));
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
      if (owners[fill]!.range === range) expect(holds(range, LARGEST, fill)).toBe(true);
      else expect(() => range.bytes).toThrow("after they had been freed");
    }
    checked.check();
  });

  it("uses an empty page again in a later turn, and gives all but a few back", () => {
    const checked = checkedSlab();
    for (let n = 0; n < 40; n++) checked.allocate(PAGE_BYTES);
    const pages = new Set(checked.live.map(({ owner }) => owner.range!.bytes));
    expect(pages.size).toBe(40);
    while (checked.live.length > 0) checked.free(0);
    expect(checked.turns.pending).toBe(1);
    expect(checked.slab.pageBytes).toBe(40 * PAGE_BYTES);
    checked.turns.next();
    expect(checked.slab.pageBytes).toBe(2 * PAGE_BYTES);
    const again = checked.allocate(10);
    expect(checked.slab.pageBytes).toBe(2 * PAGE_BYTES);
    expect(pages.has(again.range!.bytes)).toBe(true);
  });

  it("keeps an open page open when its last range is freed, and empties it when it is full", () => {
    const checked = checkedSlab();
    const first = checked.allocate(PAGE_BYTES / 2);
    const { bytes } = first.range!;
    checked.free(0);
    checked.turns.next();
    expect(checked.allocate(PAGE_BYTES / 2).range).toMatchObject({ start: PAGE_BYTES / 2, end: PAGE_BYTES });
    checked.free(0);
    expect(checked.allocate(1).range!.bytes).not.toBe(bytes);
    expect(checked.turns.pending).toBe(1);
    checked.turns.next();
    expect(checked.slab.pageBytes).toBe(2 * PAGE_BYTES);
  });

  it("overwrites what was freed or moved once the turn has ended, and nothing else", () => {
    const checked = checkedSlab();
    const sizes = Array.from({ length: 3 * 1024 }, () => KIB);
    const pages = new Set(sizes.map((size) => checked.allocate(size).range!.bytes));
    const freed = [];
    for (let n = 0; n < 2000; n++) {
      const { owner, fill } = checked.live[0]!;
      const { bytes, start, end } = owner.range!;
      checked.free(0);
      freed.push({ bytes, start, end, fill });
    }
    expect(freed.every((range) => holds(range, KIB, range.fill))).toBe(true);
    // Compaction moves live ranges, and leaves nothing of them behind.
    for (let n = 0; n < 1000; n++) checked.allocate(16);
    checked.turns.next();
    checked.check();
    const liveBytes = checked.live.reduce((sum, { size, fill }) => sum + (fill === 0 ? 0 : size), 0);
    const all = new Set([...pages, ...checked.live.map(({ owner }) => owner.range!.bytes)]);
    let written = 0;
    for (const bytes of all) for (const byte of bytes) if (byte !== 0) written += 1;
    expect(written).toBe(liveBytes);
  });

  it("takes nothing back from an owner that has nothing", () => {
    const checked = checkedSlab();
    const owner: RangeOwner = { range: undefined };
    checked.slab.free(owner);
    expect(owner.range).toBeUndefined();
    expect(checked.slab.pageBytes).toBe(0);
  });

  it("moves nothing while an eighth of the space and a page more may be dead", () => {
    const checked = checkedSlab();
    for (let n = 0; n < 64; n++) checked.allocate(PAGE_BYTES / 4);
    const places = () => checked.live.map(({ owner }) => owner.range);
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

describe("slabCost", () => {
  it("counts the dead space that is tolerated, and for large ranges the end of a page where none fits", () => {
    expect(slabCost(700)).toBe(Math.ceil((716 * 8) / 7));
    expect(slabCost(64 * KIB)).toBe(Math.ceil(((64 * KIB + 16) * 8) / 7));
    expect(slabCost(64 * KIB + 1)).toBe(Math.ceil((Math.ceil(PAGE_BYTES / 15) * 8) / 7));
    expect(slabCost(LARGEST)).toBe(Math.ceil((Math.ceil(PAGE_BYTES / 3) * 8) / 7));
  });
});
