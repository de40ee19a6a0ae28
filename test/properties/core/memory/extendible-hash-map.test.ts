import fc from "fast-check";
import { describe, expect, it } from "vitest";
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
});
