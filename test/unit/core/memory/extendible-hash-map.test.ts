import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
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
