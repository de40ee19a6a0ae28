import { createHash } from "node:crypto";
import { describe, expect, it, vi } from "vitest";
import { ExtendibleHashMap, hashOf } from "../../../../src/core/memory/extendible-hash-map.js";

/** More characters than the hash looks at: keys with this prefix all collide. */
const COLLIDING = "$".padEnd(48, "c");

describe("ExtendibleHashMap", () => {
  it("has nothing under an absent key, and counts an overwritten key once", () => {
    const map = new ExtendibleHashMap<string, number>();
    expect([map.size, map.get("a"), map.delete("a")]).toEqual([0, undefined, false]);
    map.set("a", 1);
    map.set("a", 2);
    expect([map.size, map.get("a"), map.delete("a"), map.size]).toEqual([1, 2, true, 0]);
    expect([...map.values()]).toEqual([]);
  });

  it("yields every value once when some shards are far deeper than others", () => {
    const map = new ExtendibleHashMap<string, string>();
    const keys = Array.from({ length: 6000 }, (_, n) => (n % 6 === 0 ? `$${n}` : `${COLLIDING}${n}`));
    for (const key of keys) map.set(key, key);
    expect([...map.values()].sort()).toEqual([...keys].sort());
  });

  it("yields every value that is there from beginning to end, whatever is split and deleted meanwhile", () => {
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

  it("never yields a value that was deleted before its turn", () => {
    const map = new ExtendibleHashMap<string, string>();
    for (let n = 0; n < 10_000; n++) map.set(`$${n}`, `$${n}`);
    const values = map.values();
    values.next();
    for (let n = 0; n < 10_000; n++) map.delete(`$${n}`);
    expect(values.next()).toEqual({ done: true, value: undefined });
  });
});

describe("hashOf", () => {
  it.each<[string, (n: number) => string]>([
    ["counted", (n) => `$${n}:alpha.example`],
    ["hashes", (n) => `$${createHash("sha256").update(String(n)).digest("base64url")}`],
    [
      "of a time, with a long server name",
      (n) => `$${1_669_000_000_000 + n * 37}aBcDe:${"x".repeat(60)}.example`,
    ],
    ["long with a common beginning", (n) => `$event-of-some-homeserver-${n}`],
  ])("spreads IDs evenly over its low bits: %s", (_, id) => {
    const places = new Array<number>(256).fill(0);
    for (let n = 0; n < 25_600; n++) places[hashOf(id(n)) & 255]! += 1;
    expect(Math.max(...places)).toBeLessThan(200);
    expect(Math.min(...places)).toBeGreaterThan(40);
  });

  it("is a whole number, the same for the same ID, and looks at the first 48 characters", () => {
    expect(Number.isInteger(hashOf("$a"))).toBe(true);
    expect(hashOf("$a")).toBe(hashOf("$a"));
    expect(hashOf("$a")).not.toBe(hashOf("!a"));
    expect(hashOf(COLLIDING.slice(0, 47))).not.toBe(hashOf(COLLIDING));
    expect(hashOf(`${COLLIDING}a`)).toBe(hashOf(`${COLLIDING}b`));
  });

  it("looks at a few characters only of an ID that is a hash", () => {
    const id = "$".padEnd(44, "h");
    const changed = Array.from({ length: 44 }, (_, n) => `${id.slice(0, n)}x${id.slice(n + 1)}`);
    expect(changed.filter((other) => hashOf(other) !== hashOf(id))).toHaveLength(9);
  });
});
