import { describe, expect, it } from "vitest";
import type { HomeserverMetadata } from "../../../../src/core/memory/metadata-cache.js";
import { newCaches, putBoth } from "../../../support/core/parts.js";
import { eventId } from "../../../support/store/store-harness.js";

type Caches = ReturnType<typeof newCaches>;

/** Puts events of a homeserver, each with a body of its own unless `text` is given. */
function put(caches: Caches, owner: HomeserverMetadata, prefix: string, count: number, text?: string): void {
  for (let n = 0; n < count; n++) putBoth(caches, owner, `$${prefix}${n}`, { text: text ?? `${prefix}${n}` });
}

/** The IDs that a homeserver would be served. */
function alive({ metadata }: Caches, owner: HomeserverMetadata): string[] {
  return [...owner.entries.values()]
    .filter((entry) => metadata.deadBecause(entry, 0) === undefined)
    .map((entry) => entry.eventId);
}

const CACHES = ["events", "metadata"] as const;

describe("MemoryShares", () => {
  it.each(CACHES)("lets one homeserver use all of the %s cache while it is alone", (cache) => {
    const caches = newCaches({ [cache]: { entriesMax: 10 } });
    const alone = caches.newOwner();
    put(caches, alone, "a", 15);
    expect(alive(caches, alone)).toHaveLength(10);
    expect(alive(caches, alone)[0]).toBe("$a5");
  });

  it.each(CACHES)("takes the room for a homeserver below its share from the one above: %s", (cache) => {
    const caches = newCaches({ [cache]: { entriesMax: 10 } });
    const [flooding, quiet] = [caches.newOwner(), caches.newOwner()];
    put(caches, flooding, "f", 10);
    put(caches, quiet, "q", 4);
    expect([alive(caches, flooding).length, alive(caches, quiet).length]).toEqual([6, 4]);
    put(caches, flooding, "g", 100);
    expect([alive(caches, flooding).length, alive(caches, quiet).length]).toEqual([6, 4]);
    // In the order of use.
    expect(alive(caches, flooding)).toEqual(["$g94", "$g95", "$g96", "$g97", "$g98", "$g99"]);
  });

  it.each(["bytesMax", "heapBytesMax"] as const)("divides what is bounded by %s", (bound) => {
    const one = newCaches();
    putBoth(one, one.newOwner(), "$a0", { text: "a0" });
    const { bytes, heapBytes } = one.events.stats();
    const caches = newCaches({ events: { [bound]: 10 * (bound === "bytesMax" ? bytes : heapBytes) } });
    const [flooding, quiet] = [caches.newOwner(), caches.newOwner()];
    put(caches, quiet, "q", 5);
    put(caches, flooding, "f", 100);
    expect(alive(caches, quiet)).toHaveLength(5);
    expect(caches.events.stats()[bound === "bytesMax" ? "bytes" : "heapBytes"]).toBeLessThanOrEqual(
      10 * (bound === "bytesMax" ? bytes : heapBytes),
    );
  });

  it("chooses the homeserver that is most above its share", () => {
    const caches = newCaches({ events: { entriesMax: 12 } });
    const [most, more, less] = [caches.newOwner(), caches.newOwner(), caches.newOwner()];
    put(caches, most, "m", 7);
    put(caches, more, "n", 5);
    put(caches, less, "l", 2);
    expect([most, more, less].map((owner) => owner.entries.size)).toEqual([5, 5, 2]);
    put(caches, less, "k", 2);
    expect([most, more, less].map((owner) => owner.entries.size)).toEqual([4, 4, 4]);
    put(caches, less, "j", 4);
    expect([most, more, less].map((owner) => owner.entries.size)).toEqual([4, 4, 4]);
  });

  it("protects a promised share, and divides the rest among the others", () => {
    const caches = newCaches({ events: { entriesMax: 20 }, promised: 0.5 });
    const promised = caches.newOwner({ min: 0.5 });
    const others = [caches.newOwner(), caches.newOwner()];
    put(caches, promised, "p", 10);
    for (const [n, other] of others.entries()) put(caches, other, `o${n}`, 30);
    expect([promised, ...others].map((owner) => owner.entries.size)).toEqual([10, 5, 5]);
    // A homeserver with a promise may also use free memory, and loses that first.
    put(caches, promised, "r", 10);
    expect(promised.entries.size).toBe(10);
    expect(promised.holding.shareBytes()).toBe(20 * 2 ** 20);
    expect(others[0]!.holding.shareBytes()).toBe(10 * 2 ** 20);
  });

  it("never lets a homeserver have more than its maximum, alone or not, of shared events either", () => {
    const caches = newCaches({ events: { entriesMax: 20 } });
    const limited = caches.newOwner({ max: 0.25 });
    put(caches, limited, "l", 30);
    expect(alive(caches, limited)).toEqual(["$l25", "$l26", "$l27", "$l28", "$l29"]);
    const other = caches.newOwner();
    put(caches, other, "o", 10);
    put(caches, limited, "o", 10);
    expect(limited.entries.size).toBe(5);
    expect(other.entries.size).toBe(10);
  });

  it("protects nothing of an idle homeserver", () => {
    const caches = newCaches({ events: { entriesMax: 10 } });
    const [idle, busy] = [caches.newOwner(), caches.newOwner()];
    put(caches, idle, "i", 4);
    put(caches, busy, "b", 20);
    expect(idle.entries.size).toBe(4);
    caches.shares.setIdle(idle.holding, true);
    expect(idle.holding.shareBytes()).toBe(0);
    expect(busy.holding.shareBytes()).toBe(40 * 2 ** 20);
    put(caches, busy, "c", 20);
    expect(idle.entries.size).toBe(0);
    expect(busy.entries.size).toBe(10);
  });

  it("keeps the body of a shared event until the last homeserver that is served it has dropped it", () => {
    const caches = newCaches({ events: { entriesMax: 10 } });
    const [flooding, quiet] = [caches.newOwner(), caches.newOwner()];
    // The flooding homeserver was first, and has used it least recently.
    put(caches, flooding, "shared", 4, "text");
    put(caches, quiet, "shared", 4, "text");
    put(caches, flooding, "f", 100);
    expect(alive(caches, quiet)).toHaveLength(4);
    expect(alive(caches, flooding)).toHaveLength(6);
    expect(caches.events.stats().entries).toBe(10);
  });

  it("drops the body after many entries that free nothing, so that no call waits for all of them", () => {
    const caches = newCaches({ events: { entriesMax: 300 } });
    const [flooding, quiet] = [caches.newOwner(), caches.newOwner()];
    put(caches, flooding, "shared", 140, "text");
    put(caches, quiet, "shared", 140, "text");
    put(caches, flooding, "f", 160);
    caches.orphans.length = 0;
    const before = flooding.entries.size;
    put(caches, flooding, "g", 1);
    expect(before - flooding.entries.size).toBe(64);
    expect(caches.orphans).toEqual([1]);
    expect(alive(caches, quiet)).toHaveLength(139);
  });

  it("counts for each homeserver what it holds, and nothing once it holds nothing", () => {
    const caches = newCaches();
    const owners = [caches.newOwner(), caches.newOwner()];
    for (const owner of owners) put(caches, owner, "shared", 3, "text");
    const [first, second] = owners.map(({ holding }) => holding);
    expect(first!.events).toEqual(second!.events);
    expect(first!.events.entries).toBe(3);
    expect(first!.events.bytes).toBe(caches.events.stats().bytes);
    expect(first!.metadata.bytes + second!.metadata.bytes).toBe(caches.metadata.stats().bytes);
    for (const owner of owners) {
      for (const entry of [...owner.entries.values()]) caches.metadata.drop(entry);
      for (const used of [owner.holding.events, owner.holding.metadata]) {
        expect(used).toMatchObject({ bytes: 0, heapBytes: 0, entries: 0 });
      }
    }
  });

  it("evicts nothing of the entry that grows, and all of the others if it must", () => {
    const caches = newCaches();
    const owner = caches.newOwner();
    put(caches, owner, "a", 3);
    const { bytes } = caches.metadata.stats();
    const small = newCaches({ metadata: { bytesMax: bytes } });
    const other = small.newOwner();
    put(small, other, "a", 3);
    const redaction = { redactedBy: eventId("$r"), redactedBody: Buffer.alloc(bytes) };
    const grown = other.entries.get(eventId("$a0"))!;
    small.metadata.setState(grown, { rejected: false, rejectedReason: "", redaction });
    expect([...other.entries.values()]).toEqual([grown]);
    put(small, other, "b", 1);
    expect([...other.entries.values()].map((entry) => entry.eventId)).toEqual(["$b0"]);
  });

  it("shares among hundreds exactly, although it does not compare them at each eviction", () => {
    const caches = newCaches({ events: { entriesMax: 400 } });
    const owners = Array.from({ length: 100 }, () => caches.newOwner());
    for (const [n, owner] of owners.entries()) put(caches, owner, `o${n}-`, 3);
    put(caches, owners[0]!, "flood", 1000);
    expect(owners.slice(1).every((owner) => owner.entries.size === 3)).toBe(true);
    expect(owners[0]!.entries.size).toBe(400 - 99 * 3);
    for (const [n, owner] of owners.entries()) if (n > 0) put(caches, owner, `p${n}-`, 1);
    expect(owners.every((owner) => owner.entries.size === 4)).toBe(true);
  });
});
