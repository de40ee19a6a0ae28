import { describe, expect, it } from "vitest";
import { encodedBody } from "../../../../src/core/memory/encoded-event.js";
import type { Variant } from "../../../../src/core/memory/event-cache.js";
import { newCaches } from "../../../support/core/parts.js";
import { eventId, messageEvent, OTHER_ROOM } from "../../../support/store/store-harness.js";

const bodyOf = (variant: Variant) => encodedBody(variant.range!).toString();

const event = (id: string, text: string) => messageEvent(id, { body: Buffer.from(text) });

describe("EventCache", () => {
  it("stores an event once, however often it is put, until its last reference is given back", () => {
    const { events } = newCaches();
    const first = events.acquire(event("$a", "text"));
    const second = events.acquire(event("$a", "text"));
    expect(second).toBe(first);
    expect(first.references).toBe(2);
    expect(events.stats().entries).toBe(1);
    events.release(first);
    expect(bodyOf(first)).toBe("text");
    events.release(first);
    expect(first.range).toBeUndefined();
    expect(events.stats()).toMatchObject({ entries: 0, bytes: 0, heapBytes: 0, evictions: 0 });
    expect(events.acquire(event("$a", "text"))).not.toBe(first);
  });

  it.each<[string, number[]]>([
    ["first to last", [0, 1, 2, 3]],
    ["last to first", [3, 2, 1, 0]],
    ["from the middle", [1, 2, 0, 3]],
  ])("finds each of an event's variants while it is there: given back %s", (_, order) => {
    const { events } = newCaches();
    const texts = ["one", "two", "three", "four"];
    const variants = texts.map((text) => events.acquire(event("$a", text)));
    expect(new Set(variants).size).toBe(4);
    const held = new Set([0, 1, 2, 3]);
    for (const gone of order) {
      events.release(variants[gone]!);
      held.delete(gone);
      expect(variants[gone]!.next).toBeUndefined();
      for (const there of held) {
        expect(bodyOf(variants[there]!)).toBe(texts[there]);
        expect(events.acquire(event("$a", texts[there]!))).toBe(variants[there]);
        events.release(variants[there]!);
      }
      expect(events.stats().entries).toBe(held.size);
    }
    expect(events.stats()).toMatchObject({ entries: 0, bytes: 0, heapBytes: 0 });
  });

  it("takes what differs in room or version for another variant", () => {
    const { events } = newCaches();
    const variants = [
      messageEvent("$a"),
      messageEvent("$a", { roomId: OTHER_ROOM }),
      messageEvent("$a", { roomVersion: "9" }),
    ].map((one) => events.acquire(one));
    expect(new Set(variants).size).toBe(3);
  });

  it("says how many referred to an evicted variant, forgets it, and lets them give it back for nothing", () => {
    const { events, orphans } = newCaches({ events: { entriesMax: 2 } });
    const old = events.acquire(event("$a", "old"));
    events.acquire(event("$a", "old"));
    const kept = events.acquire(event("$a", "kept"));
    const next = events.acquire(event("$b", "next"));
    expect(orphans).toEqual([2]);
    expect(old.range).toBeUndefined();
    events.release(old);
    events.release(old);
    expect(events.stats()).toMatchObject({ entries: 2, evictions: 1 });
    expect(events.acquire(event("$a", "kept"))).toBe(kept);
    expect(events.acquire(event("$b", "next"))).toBe(next);
    expect(events.acquire(event("$a", "old"))).not.toBe(old);
  });

  it("evicts a variant of the very event that needs the room", () => {
    const { events, orphans } = newCaches({ events: { entriesMax: 1 } });
    const variants = ["one", "two", "three"].map((text) => events.acquire(event("$a", text)));
    expect(orphans).toEqual([1, 1]);
    expect(variants.map((variant) => variant.range !== undefined)).toEqual([false, false, true]);
    expect(bodyOf(variants[2]!)).toBe("three");
    expect(events.acquire(event("$a", "three"))).toBe(variants[2]);
  });

  it("evicts in the order of use: by a put of the same event, and by touch", () => {
    const { events } = newCaches({ events: { entriesMax: 3 } });
    const [a, b, c] = ["$a", "$b", "$c"].map((id) => events.acquire(event(id, "text")));
    events.acquire(event("$a", "text"));
    events.touch(b!);
    events.acquire(event("$d", "text"));
    expect([a, b, c].map((variant) => variant!.range !== undefined)).toEqual([true, true, false]);
    events.acquire(event("$e", "text"));
    expect([a, b].map((variant) => variant!.range !== undefined)).toEqual([false, true]);
  });

  it("counts the bytes and the heap of what it holds, long IDs and bodies too", () => {
    const cost = (id: string, body: number) => {
      const { events } = newCaches();
      events.acquire(messageEvent(id, { body: Buffer.alloc(body) }));
      return events.stats();
    };
    const [small, longId, longBody] = [cost("$", 100), cost("$".padEnd(1001), 100), cost("$", 1100)];
    expect(longId.heapBytes - small.heapBytes).toBe(1000);
    // An ID lies in the heap as the key, and in the encoded event.
    expect(longId.bytes - small.bytes).toBeGreaterThan(2000);
    expect(longBody.heapBytes).toBe(small.heapBytes);
    expect(longBody.bytes - small.bytes).toBeGreaterThan(1000);
    expect(small.bytes - small.heapBytes).toBeGreaterThan(100);
    expect(small.heapBytes).toBeGreaterThan(300);
    expect(small.pageBytes).toBe(2 ** 20);
  });

  it("copies the bytes that it is given", () => {
    const { events } = newCaches();
    const body = Buffer.from("text");
    const variant = events.acquire(messageEvent("$a", { body }));
    body.fill(0);
    expect(bodyOf(variant)).toBe("text");
    expect(variant.eventId).toBe(eventId("$a"));
  });
});
