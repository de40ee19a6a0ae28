import { describe, expect, it } from "vitest";
import { encodedBody } from "../../../../src/core/memory/encoded-event.js";
import type { SetRedactionRequest, SetRejectedRequest } from "../../../../src/core/model/store.js";
import type { Epoch, Homeserver, NewEvent, Position, PutOutcome } from "../../../../src/core/model/types.js";
import { HomeserverState } from "../../../../src/core/rules/homeserver-state.js";
import { SplitCache, type SplitCacheOptions } from "../../../../src/core/rules/split-cache.js";
import { laterTurns, makeCache } from "../../../support/core/parts.js";
import { lookUp } from "../../../support/store/read-events.js";
import {
  ALPHA,
  BETA,
  eventId,
  messageEvent,
  OTHER_ROOM,
  ROOM,
  recordStore,
} from "../../../support/store/store-harness.js";

const TTL = 1000;
const MIB = 2 ** 20;

function newCache(options: Partial<SplitCacheOptions> = {}) {
  const turns = laterTurns();
  const cache = new SplitCache({
    makeCache,
    eventBytesMax: 20 * MIB,
    metadataBytesMax: 8 * MIB,
    eventHeapBytesMax: 20 * MIB,
    metadataHeapBytesMax: 8 * MIB,
    entriesMax: 10_000,
    metadataTtlMs: TTL,
    defer: turns.defer,
    ...options,
  });
  let epochs = 0;
  const newHomeserver = (name: Homeserver) => {
    const state = new HomeserverState(name, 0, () => true, {
      onLogStarts: (log) => log.setBytesMax(100_000),
      clock: () => 0,
      defer: turns.defer,
      discard: (metadata) => cache.sweep.discard(metadata),
      observer: recordStore([]),
    });
    state.restart({ epoch: `${name} ${++epochs}` as Epoch, sequence: 0 }, "started");
    return state;
  };
  const alpha = newHomeserver(ALPHA);
  const put = (events: NewEvent[], asOf: Position = alpha.log.position, nowMs = 0): readonly PutOutcome[] =>
    cache.putEvents(alpha, { homeserver: ALPHA, events, asOf }, nowMs).outcomes;
  const get = (ids: string[], nowMs = 0, view: "redacted" | "original" = "redacted") =>
    lookUp((take) =>
      cache.getEvents(
        alpha,
        { homeserver: ALPHA, eventIds: ids.map(eventId), view, minPosition: undefined },
        nowMs,
        take,
      ),
    ).events;
  const sweepAll = (nowMs = 0) => {
    cache.sweep.begin(() => [alpha.metadata], nowMs);
    cache.sweep.slice(() => false);
  };
  const counts = () => [cache.stats().events.entries, cache.stats().metadata.entries];
  return { cache, alpha, newHomeserver, put, get, sweepAll, counts };
}

function setRedaction(cache: SplitCache, state: HomeserverState, request: SetRedactionRequest) {
  return cache.changes.applyRedaction(state, cache.changes.redactionChange(state, request, 0), request, 0);
}

function setRejected(cache: SplitCache, state: HomeserverState, request: SetRejectedRequest) {
  return cache.changes.applyRejection(state, cache.changes.rejectionChange(state, request, 0), request, 0);
}

describe("SplitCache", () => {
  it("keeps two texts of an event apart, and drops the replaced text", () => {
    const { cache, newHomeserver, put, get, counts } = newCache();
    const beta = newHomeserver(BETA);
    put([messageEvent("$a", { text: "mine" })]);
    const theirs = messageEvent("$a", { text: "theirs" });
    cache.putEvents(beta, { homeserver: BETA, events: [theirs], asOf: beta.log.position }, 0);
    expect(counts()).toEqual([2, 2]);
    put([theirs]);
    expect(counts()).toEqual([1, 2]);
    expect(encodedBody(get(["$a"])[0]!.encoded)).toEqual(theirs.body);
  });

  it("drops an entry that a read finds dead, and its body with it", () => {
    const { cache, alpha, put, get, counts } = newCache();
    put([messageEvent("$a"), messageEvent("$b")]);
    cache.changes.apply(alpha, { kind: "roomPurged", roomId: ROOM });
    expect(counts()).toEqual([2, 2]);
    expect(get(["$a"])).toEqual([undefined]);
    expect(counts()).toEqual([1, 1]);
    put([messageEvent("$c")]);
    expect(get(["$c"], TTL - 1)[0]).toBeDefined();
    expect(get(["$c"], TTL)).toEqual([undefined]);
    expect(counts()).toEqual([1, 1]);
    expect(get(["$c"], TTL)).toEqual([undefined]);
    expect(alpha.counters.misses).toMatchObject({ orphaned: 1, expired: 1, absent: 1 });
    expect(alpha.counters.hits).toBe(1);
  });

  it("has the sweep remove what a purge, an eviction and time left behind", () => {
    const { cache, alpha, put, sweepAll, counts } = newCache({ eventBytesMax: MIB });
    put([messageEvent("$a"), messageEvent("$b", { roomId: OTHER_ROOM })]);
    cache.changes.apply(alpha, { kind: "roomPurged", roomId: ROOM });
    sweepAll();
    expect(counts()).toEqual([1, 1]);
    for (let n = 0; n < 20; n++) put([messageEvent(`$${n}`, { body: Buffer.alloc(100_000) })]);
    expect(counts()[1]).toBe(21);
    sweepAll();
    expect(counts()[1]).toBe(counts()[0]);
    expect(counts()[0]).toBeLessThan(10);
    sweepAll(TTL);
    expect(counts()).toEqual([0, 0]);
  });

  it("reports a dead entry as absent to a Set…, drops it, and names the caller's room or none", () => {
    const { cache, alpha, put, counts } = newCache();
    put([messageEvent("$a"), messageEvent("$b")]);
    const asOf = alpha.log.position;
    cache.changes.apply(alpha, { kind: "roomPurged", roomId: ROOM });
    const request = { homeserver: ALPHA, rejected: true, rejectedReason: "", asOf };
    const first = setRejected(cache, alpha, { ...request, roomId: undefined, eventId: eventId("$a") });
    const second = setRejected(cache, alpha, { ...request, roomId: ROOM, eventId: eventId("$b") });
    expect([first, second]).toEqual(["absent", "absent"]);
    expect(counts()).toEqual([0, 0]);
    const notices = alpha.log.readAfter(asOf)?.notices.slice(1);
    expect(notices?.map(({ change }) => "roomId" in change && change.roomId)).toEqual([undefined, ROOM]);
    expect(alpha.counters.sets).toEqual({ applied: 0, dropped: 0, absent: 2 });
  });

  it("applies a Set… with and without a room ID alike", () => {
    const { cache, alpha, put, get } = newCache();
    put([messageEvent("$a")]);
    const request = { homeserver: ALPHA, eventId: eventId("$a"), rejected: true, rejectedReason: "auth" };
    for (const roomId of [ROOM, undefined]) {
      const asOf = alpha.log.position;
      expect(setRejected(cache, alpha, { ...request, roomId, asOf })).toBe("applied");
      expect(alpha.log.position.sequence).toBe(asOf.sequence + 1);
      expect(get(["$a"])[0]?.state).toMatchObject({ rejected: true, rejectedReason: "auth" });
    }
    const rooms = alpha.log.readAfter({ ...alpha.log.position, sequence: 0 })?.notices;
    expect(rooms?.map(({ change }) => "roomId" in change && change.roomId)).toEqual([ROOM, ROOM]);
  });

  it("makes the redacted text from the entry's own body when a redaction brings none", () => {
    const { cache, alpha, put, get } = newCache();
    put([messageEvent("$a", { text: "secret" }), messageEvent("$b", { roomVersion: "unknown" })]);
    for (const id of ["$a", "$b"].map(eventId)) {
      const redaction = { redactedBy: eventId("$r"), redactedBody: undefined };
      const asOf = alpha.log.position;
      const request = { homeserver: ALPHA, roomId: undefined, eventId: id, redaction, asOf };
      expect(setRedaction(cache, alpha, request)).toBe("applied");
    }
    const [a, b] = get(["$a", "$b"]);
    const text = Buffer.from(a!.state.redaction!.redactedBody!).toString();
    expect(text).toContain("m.room.message");
    expect(text).not.toContain("secret");
    expect(b).toBeUndefined();
    expect(alpha.counters.misses.unredactable).toBe(1);
    expect(get(["$b"], 0, "original")[0]?.state.redaction?.redactedBody).toBeUndefined();
  });

  it("has memory of its own for the redacted text that it is given", () => {
    const { cache, alpha, put, get } = newCache();
    const given = Buffer.from("{}");
    const redaction = { redactedBy: eventId("$r"), redactedBody: given.subarray(0) };
    put([messageEvent("$a", { redaction }), messageEvent("$b")]);
    const request = { homeserver: ALPHA, roomId: undefined, eventId: eventId("$b"), redaction };
    setRedaction(cache, alpha, { ...request, asOf: alpha.log.position });
    given.fill(0);
    for (const event of get(["$a", "$b"])) {
      const { buffer, byteLength } = event!.state.redaction!.redactedBody!;
      expect(Buffer.from(event!.state.redaction!.redactedBody!).toString()).toBe("{}");
      expect(buffer.byteLength).toBe(byteLength);
    }
  });

  it("names the room that all invalidated events share, if the caller names none", () => {
    const { cache, alpha, put } = newCache();
    put([messageEvent("$a"), messageEvent("$b"), messageEvent("$c", { roomId: OTHER_ROOM })]);
    const start = alpha.log.position;
    const [a, b, c, x] = ["$a", "$b", "$c", "$x"].map(eventId);
    cache.changes.apply(alpha, cache.changes.invalidationChange(alpha, undefined, [x!], 0));
    cache.changes.apply(alpha, cache.changes.invalidationChange(alpha, undefined, [c!, x!], 0));
    cache.changes.apply(alpha, cache.changes.invalidationChange(alpha, undefined, [a!, b!], 0));
    const notices = alpha.log.readAfter(start)?.notices;
    expect(notices?.map(({ change }) => "roomId" in change && change.roomId)).toEqual([
      undefined,
      undefined,
      ROOM,
    ]);
  });

  it("forgets a whole homeserver in one step, and is empty again when the sweep has passed", () => {
    const { cache, alpha, put, get, sweepAll, counts } = newCache();
    for (let n = 0; n < 100; n++) put([messageEvent(`$${n}`)]);
    cache.changes.apply(alpha, { kind: "homeserverPurged" });
    expect(counts()).toEqual([100, 100]);
    expect(get(["$1"])).toEqual([undefined]);
    expect(alpha.counters.misses.absent).toBe(1);
    put([messageEvent("$1")]);
    sweepAll();
    expect(counts()).toEqual([1, 1]);
    expect(get(["$1"])[0]).toBeDefined();
    cache.changes.apply(alpha, cache.changes.invalidationChange(alpha, undefined, [eventId("$1")], 0));
    const { events, metadata } = cache.stats();
    expect([events.bytes, events.heapBytes, metadata.bytes, metadata.heapBytes]).toEqual([0, 0, 0, 0]);
  });

  it("bounds each cache by bytes, by heap and by entries", () => {
    const filled = (options: Partial<SplitCacheOptions>) => {
      const { put, cache } = newCache(options);
      for (let n = 0; n < 100; n++) put([messageEvent(`$${n}`, { internalMetadata: Buffer.alloc(500) })]);
      return cache.stats();
    };
    expect(filled({}).events.entries).toBe(100);
    expect(filled({ entriesMax: 10 }).metadata.entries).toBe(10);
    const { events, metadata } = filled({ entriesMax: 10 });
    expect([events.entries, metadata.entries]).toEqual([10, 10]);
    for (const [of, bound, used] of [
      ["events", "eventBytesMax", "bytes"],
      ["events", "eventHeapBytesMax", "heapBytes"],
      ["metadata", "metadataBytesMax", "bytes"],
      ["metadata", "metadataHeapBytesMax", "heapBytes"],
    ] as const) {
      const stats = filled({ [bound]: 20_000 })[of];
      expect(stats[used]).toBeLessThanOrEqual(20_000);
      expect(stats[used]).toBeGreaterThan(15_000);
    }
  });

  it("keeps internal metadata byte for byte, from the middle of a larger buffer too", () => {
    const { put, get } = newCache();
    const all = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    put([messageEvent("$a", { internalMetadata: all.subarray(100, 250) })]);
    expect(Buffer.from(get(["$a"])[0]!.internalMetadata, "latin1")).toEqual(all.subarray(100, 250));
  });
});
