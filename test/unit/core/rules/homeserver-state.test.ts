import { describe, expect, it } from "vitest";
import type { HomeserverMetadata } from "../../../../src/core/memory/metadata-cache.js";
import { HomeserverState } from "../../../../src/core/rules/homeserver-state.js";
import { at, epoch, laterTurns } from "../../../support/core/parts.js";
import { ALPHA, eventId, recordStore } from "../../../support/store/store-harness.js";

function newState() {
  const logged: string[] = [];
  const discarded: HomeserverMetadata[] = [];
  const turns = laterTurns();
  let isCurrent = true;
  const state = new HomeserverState(ALPHA, 7, () => isCurrent, {
    onLogStarts: (log) => log.setBytesMax(10_000),
    clock: () => 0,
    defer: turns.defer,
    discard: (metadata) => discarded.push(metadata),
    observer: recordStore(logged),
  });
  state.restart(at(0), "started");
  const setCurrent = (value: boolean) => {
    isCurrent = value;
  };
  return { state, logged, discarded, turns, setCurrent };
}

describe("HomeserverState", () => {
  it("begins where its log is, and reports it", () => {
    const { state, logged } = newState();
    expect(state.log.position).toEqual(at(0));
    expect(logged).toEqual([`${ALPHA} started`]);
    expect(state.lastCallMs).toBe(7);
    expect(state.stats()).toMatchObject({
      epochs: 1,
      subscribers: 0,
      logChanges: 0,
      logEventIds: 0,
      logBytes: 0,
      logBytesMax: 0,
    });
  });

  it("drops everything when its log starts anew, and counts an epoch only if it is another", () => {
    const { state, logged, discarded } = newState();
    const [first] = discarded;
    const held = state.metadata;
    state.restart(at(5), "gap");
    expect(discarded).toEqual([first, held]);
    expect(state.metadata).not.toBe(held);
    expect(state.log.position).toEqual(at(5));
    state.restart(at(0, epoch("b")), "database");
    expect(state.counters.epochs).toBe(2);
    expect(logged.slice(1)).toEqual([`${ALPHA} gap`, `${ALPHA} database`]);
  });

  it("wakes its subscribers for a change and for a new epoch", async () => {
    const { state, turns } = newState();
    const frames = state.hub.open(undefined, new AbortController().signal);
    await frames.next();
    let next = frames.next();
    state.announce({ kind: "homeserverPurged" });
    turns.next();
    expect((await next).value).toMatchObject({ kind: "batch" });
    next = frames.next();
    state.restart(at(0, epoch("b")), "asked");
    turns.next();
    expect((await next).value).toMatchObject({ kind: "reset", reason: "wrongEpoch" });
    expect(state.stats().subscribers).toBe(1);
    await frames.return();
  });

  it("lets a subscriber go on where it was when its log was loaded again in the same epoch", async () => {
    const { state } = newState();
    const frames = state.hub.open(undefined, new AbortController().signal);
    await frames.next();
    state.restart(at(0), "expelled");
    state.announce({ kind: "homeserverPurged" });
    expect((await frames.next()).value).toMatchObject({ kind: "batch", from: at(0), to: at(1) });
    await frames.return();
  });

  it("sends nothing while its log is not known to be current", async () => {
    const { state, turns, setCurrent } = newState();
    const frames = state.hub.open(undefined, new AbortController().signal);
    await frames.next();
    setCurrent(false);
    const next = frames.next();
    state.announce({ kind: "homeserverPurged" });
    turns.next();
    state.hub.tick();
    const pending = Symbol();
    const soon = new Promise((resolve) => setImmediate(resolve, pending));
    expect(await Promise.race([next, soon])).toBe(pending);
    setCurrent(true);
    state.hub.wake();
    turns.next();
    expect((await next).value).toMatchObject({ kind: "batch" });
    await frames.return();
  });

  it("counts the changes that it announces", () => {
    const { state } = newState();
    const id = eventId("$a");
    state.announce({ kind: "invalidated", roomId: undefined, eventIds: [id, eventId("$b")] });
    state.announce({ kind: "rejected", roomId: undefined, eventId: id, rejected: true });
    expect(state.log.position).toEqual(at(2));
    expect(state.stats()).toMatchObject({
      changes: { redacted: 0, rejected: 1, invalidated: 1, roomPurged: 0, homeserverPurged: 0 },
      logChanges: 2,
      logEventIds: 3,
    });
    expect(state.stats().logBytes).toBe(state.log.size.bytes);
  });
});
