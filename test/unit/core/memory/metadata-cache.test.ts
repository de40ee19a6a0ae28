import { describe, expect, it } from "vitest";
import type { EventState } from "../../../../src/core/model/types.js";
import { newCaches, PLAIN, putBoth } from "../../../support/core/parts.js";
import { eventId, OTHER_ROOM, ROOM, roomId } from "../../../support/store/store-harness.js";

const NOTHING = { entries: 0, bytes: 0, heapBytes: 0 };

const rejected: EventState = { rejected: true, rejectedReason: "auth", redaction: undefined };

function filled(...ids: string[]) {
  const caches = newCaches();
  const owner = caches.newOwner();
  for (const id of ids) putBoth(caches, owner, id);
  return { ...caches, caches, owner, entry: (id: string) => owner.entries.get(eventId(id))! };
}

describe("MetadataCache", () => {
  it("drops a dead entry ahead of its successor, and no other", () => {
    const caches = newCaches();
    const owner = caches.newOwner();
    putBoth(caches, owner, "$dead", { expiresAtMs: 10 });
    putBoth(caches, owner, "$live", { expiresAtMs: 30 });
    for (const id of ["$dead", "$live", "$absent"]) caches.metadata.dropIfDead(owner, eventId(id), 20);
    expect(caches.metadata.stats().entries).toBe(1);
    expect(owner.entries.get(eventId("$live"))).toBeDefined();
  });

  it("holds what a homeserver said of an event, for it alone", () => {
    const { caches, owner, entry } = filled("$a");
    const other = caches.newOwner();
    putBoth(caches, other, "$a", { state: rejected, meta: "opaque", expiresAtMs: 5 });
    expect(entry("$a")).toMatchObject({ eventId: "$a", state: PLAIN, internalMetadata: "" });
    expect(other.entries.get(eventId("$a"))).toMatchObject({
      state: rejected,
      internalMetadata: "opaque",
      expiresAtMs: 5,
    });
    expect(entry("$a").variant).toBe(other.entries.get(eventId("$a"))?.variant);
    expect(owner.rooms.get(ROOM)?.entries).toBe(1);
  });

  it("puts an entry in place of the one before: no reference and no room is left behind", () => {
    const { caches, events, metadata, owner, entry } = filled("$a");
    const before = metadata.stats();
    putBoth(caches, owner, "$a");
    expect(entry("$a").variant.references).toBe(1);
    expect(metadata.stats()).toEqual(before);
    putBoth(caches, owner, "$a", { roomId: OTHER_ROOM });
    expect([...owner.rooms.values()].map(({ roomId }) => roomId)).toEqual([OTHER_ROOM]);
    expect(owner.entries.size).toBe(1);
    expect(events.stats().entries).toBe(1);
    metadata.drop(entry("$a"));
    expect(events.stats()).toMatchObject(NOTHING);
    expect(metadata.stats()).toMatchObject(NOTHING);
    expect([owner.rooms.size, owner.entries.size]).toEqual([0, 0]);
  });

  it("serves an entry until its room is purged, its body is evicted, or its time is over", () => {
    const { metadata, owner, events, entry } = filled("$a");
    const a = entry("$a");
    expect(metadata.deadBecause(a, 999)).toBeUndefined();
    expect(metadata.deadBecause(a, 1000)).toBe("expired");
    expect(metadata.deadBecause(a, 1001)).toBe("expired");
    metadata.purgeRoom(owner, ROOM);
    expect(metadata.deadBecause(a, 999)).toBe("orphaned");
    expect(events.stats().entries).toBe(1);
  });

  it("takes the body's discard for the entry's death", () => {
    const { caches, events, metadata, entry } = filled("$a", "$b");
    const [a, b] = [entry("$a"), entry("$b")];
    events.discard(a.variant);
    expect(caches.orphans).toEqual([1]);
    expect(metadata.deadBecause(a, 0)).toBe("orphaned");
    expect(metadata.deadBecause(b, 0)).toBeUndefined();
    metadata.drop(a);
    metadata.drop(b);
    expect(events.stats()).toMatchObject(NOTHING);
    expect(metadata.stats()).toMatchObject(NOTHING);
  });

  it("evicts the entry with the body: neither is left without the other", () => {
    const caches = newCaches({ events: { entriesMax: 1 } });
    const owner = caches.newOwner();
    putBoth(caches, owner, "$a");
    putBoth(caches, owner, "$b");
    expect([...owner.entries.values()].map((entry) => entry.eventId)).toEqual(["$b"]);
    expect(caches.events.stats()).toMatchObject({ entries: 1, evictions: 1 });
    expect(caches.metadata.stats()).toMatchObject({ entries: 1, evictions: 0 });
  });

  it("purges a room at once and says how many died; events put there afterwards live", () => {
    const { caches, metadata, owner, entry } = filled("$a", "$b");
    putBoth(caches, owner, "$c", { roomId: OTHER_ROOM });
    const [a, b] = [entry("$a"), entry("$b")];
    expect(metadata.purgeRoom(owner, ROOM)).toBe(2);
    expect(metadata.purgeRoom(owner, ROOM)).toBe(0);
    putBoth(caches, owner, "$a");
    expect(metadata.deadBecause(entry("$a"), 0)).toBeUndefined();
    expect(metadata.deadBecause(b, 0)).toBe("orphaned");
    expect(metadata.deadBecause(entry("$c"), 0)).toBeUndefined();
    expect(owner.rooms.get(ROOM)?.entries).toBe(1);
    // The purged room's last entry takes nothing from the room that came after.
    metadata.drop(b);
    expect(a.room.entries).toBe(0);
    expect(owner.rooms.get(ROOM)?.entries).toBe(1);
    for (const id of ["$a", "$c"]) metadata.drop(entry(id));
    expect(metadata.stats()).toMatchObject(NOTHING);
  });

  it("makes an entry and its body the last to be evicted by a touch", () => {
    for (const bounds of [{ events: { entriesMax: 2 } }, { metadata: { entriesMax: 2 } }]) {
      const caches = newCaches(bounds);
      const owner = caches.newOwner();
      putBoth(caches, owner, "$a");
      putBoth(caches, owner, "$b");
      caches.metadata.touch(owner.entries.get(eventId("$a"))!);
      putBoth(caches, owner, "$c");
      const alive = ["$a", "$b", "$c"].filter((id) => {
        const entry = owner.entries.get(eventId(id));
        return entry !== undefined && caches.metadata.deadBecause(entry, 0) === undefined;
      });
      expect(alive).toEqual(["$a", "$c"]);
    }
  });

  it("releases body, room and place of an entry that it evicts", () => {
    const caches = newCaches({ metadata: { entriesMax: 1 } });
    const owner = caches.newOwner();
    putBoth(caches, owner, "$a");
    putBoth(caches, owner, "$b", { roomId: OTHER_ROOM });
    expect(owner.entries.size).toBe(1);
    expect([...owner.rooms.values()].map(({ roomId }) => roomId)).toEqual([OTHER_ROOM]);
    expect(caches.events.stats().entries).toBe(1);
    expect(caches.metadata.stats()).toMatchObject({ entries: 1, evictions: 1 });
  });

  it("keeps the room of an entry whose room-mate it evicted to make room for it", () => {
    const caches = newCaches({ metadata: { entriesMax: 1 } });
    const owner = caches.newOwner();
    putBoth(caches, owner, "$a");
    putBoth(caches, owner, "$b");
    expect(owner.rooms.get(ROOM)?.entries).toBe(1);
    expect(caches.metadata.purgeRoom(owner, ROOM)).toBe(1);
    expect(caches.metadata.deadBecause(owner.entries.get(eventId("$b"))!, 0)).toBe("orphaned");
  });

  it("counts what a state costs, and uncounts it with the state", () => {
    const { metadata, entry } = filled("$a");
    const redactedBody = Buffer.alloc(500);
    const plain = metadata.stats();
    const costOf = (state: EventState) => {
      metadata.setState(entry("$a"), state);
      expect(entry("$a").state).toBe(state);
      const { bytes, heapBytes, entries } = metadata.stats();
      expect(entries).toBe(1);
      return { bytes: bytes - plain.bytes, heapBytes: heapBytes - plain.heapBytes };
    };
    const bare = costOf({ ...rejected, rejectedReason: "" });
    const reasoned = costOf({ ...rejected, rejectedReason: "x".repeat(1000) });
    expect(bare.heapBytes).toBeGreaterThan(48);
    expect(bare.bytes).toBeGreaterThanOrEqual(bare.heapBytes);
    expect(reasoned.heapBytes - bare.heapBytes).toBe(1000);
    expect(reasoned.bytes - bare.bytes).toBeGreaterThanOrEqual(1000);
    const redactedBy = eventId("$r".padEnd(100));
    const redacted = costOf({ ...PLAIN, redaction: { redactedBy, redactedBody: undefined } });
    expect(redacted.heapBytes).toBeGreaterThan(150);
    const withBody = costOf({ ...PLAIN, redaction: { redactedBy, redactedBody } });
    // A Buffer's bytes lie outside the heap, its objects in it.
    const buffer = withBody.heapBytes - redacted.heapBytes;
    expect(buffer).toBeGreaterThan(300);
    expect(buffer).toBeLessThan(500);
    expect(withBody.bytes - redacted.bytes).toBeGreaterThanOrEqual(500 + buffer);
    expect(costOf(PLAIN)).toEqual({ bytes: 0, heapBytes: 0 });
  });

  it("counts internal metadata and rooms", () => {
    const cost = (meta: string, room: string) => {
      const caches = newCaches();
      putBoth(caches, caches.newOwner(), "$a", { meta, roomId: roomId(room) });
      return caches.metadata.stats();
    };
    const [small, meta, room] = [cost("", "!"), cost("x".repeat(1000), "!"), cost("", "!".padEnd(1001))];
    expect(small.heapBytes).toBeGreaterThan(400);
    expect(small.bytes).toBeGreaterThanOrEqual(small.heapBytes);
    for (const long of [meta, room]) {
      expect(long.heapBytes - small.heapBytes).toBe(1000);
      expect(long.bytes - small.bytes).toBeGreaterThanOrEqual(1000);
    }
  });
});
