import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { ExtendibleHashMap } from "../../../../src/core/memory/extendible-hash-map.js";

/** More characters than the hash looks at: keys with this prefix all collide. */
const COLLIDING = "$".padEnd(48, "c");

describe("ExtendibleHashMap", () => {
  it("agrees with a Map through many splits, for keys that spread and keys that collide", () => {
    fc.assert(
      fc.property(fc.infiniteStream(fc.nat()), fc.boolean(), (numbers, collide) => {
        const map = new ExtendibleHashMap<string, number>();
        const model = new Map<string, number>();
        for (let step = 0; step < 30_000; step++) {
          const number = numbers.next().value!;
          const key = `${collide && number % 3 === 0 ? COLLIDING : "$"}${number % 20_011}`;
          if (number % 5 === 0) {
            if (map.delete(key) !== model.delete(key)) throw new Error(`delete of ${key}`);
          } else {
            map.set(key, step);
            model.set(key, step);
          }
          if (map.size !== model.size) throw new Error(`size after ${step} steps`);
        }
        for (let number = 0; number < 20_011; number++) {
          for (const key of [`$${number}`, `${COLLIDING}${number}`]) {
            if (map.get(key) !== model.get(key)) throw new Error(`get of ${key}`);
          }
        }
        expect([...map.values()].sort()).toEqual([...model.values()].sort());
      }),
      { numRuns: 4 },
    );
  });

  it("yields every value once when some shards are far deeper than others", () => {
    const map = new ExtendibleHashMap<string, string>();
    const keys = Array.from({ length: 6000 }, (_, n) => (n % 6 === 0 ? `$${n}` : `${COLLIDING}${n}`));
    for (const key of keys) map.set(key, key);
    expect([...map.values()].sort()).toEqual([...keys].sort());
  });

  it("yields every value that is there from beginning to end, during splits and deletions", () => {
    const map = new ExtendibleHashMap<string, string>();
    const stays = Array.from({ length: 5000 }, (_, n) => `$stays${n}`);
    const leaves = Array.from({ length: 5000 }, (_, n) => `$leaves${n}`);
    for (const key of [...stays, ...leaves]) map.set(key, key);
    const seen = new Set<string>();
    let added = 0;
    for (const value of map.values()) {
      seen.add(value);
      const left = leaves.pop();
      if (left !== undefined) map.delete(left);
      for (let n = 0; n < 20 && added < 60_000; n++, added++) map.set(`$added${added}`, `$added${added}`);
    }
    expect(stays.filter((key) => !seen.has(key))).toEqual([]);
  });

  it("puts a few thousand entries at most into one built-in Map, and while there are no more moves none", () => {
    const { set } = Map.prototype;
    let largest = 0;
    let moves = 0;
    const spy = vi.spyOn(Map.prototype, "set").mockImplementation(function (
      this: Map<unknown, unknown>,
      ...entry
    ) {
      set.apply(this, entry);
      largest = Math.max(largest, this.size);
      moves += 1;
      return this;
    });
    try {
      const map = new ExtendibleHashMap<string, number>();
      for (let n = 0; n < 4096; n++) map.set(`$${n}`, n);
      expect([largest, moves]).toEqual([4096, 4096]);
      for (let n = 4096; n < 100_000; n++) {
        const before = moves;
        map.set(`$${n}`, n);
        if (moves - before > 4096) throw new Error("too many at once");
      }
      expect(largest).toBe(4097);
      expect(moves).toBeLessThan(200_000);
    } finally {
      spy.mockRestore();
    }
  });
});
