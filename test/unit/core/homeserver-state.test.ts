import { describe, expect, it } from "vitest";
import { HomeserverState } from "../../../src/core/homeserver-state.js";
import type { HomeserverMetadata } from "../../../src/core/metadata-cache.js";
import type { Epoch } from "../../../src/core/types.js";
import { ALPHA, eventId, token, writer } from "../../support/store-harness.js";
import { laterTurns } from "./parts.js";

const W = writer("w");
const LEASE = 5000;

function newState() {
  const logged: string[] = [];
  const discarded: HomeserverMetadata[] = [];
  const turns = laterTurns();
  let epochs = 0;
  let tokens = 0;
  let nowMs = 0;
  const state = new HomeserverState(ALPHA, 7, {
    onLogStarts: (log) => log.setBytesMax(10_000),
    clock: () => nowMs,
    newEpoch: () => `e${++epochs}` as Epoch,
    newLeaseToken: () => token(`t${++tokens}`),
    leaseDurationMs: LEASE,
    defer: turns.defer,
    discard: (metadata) => discarded.push(metadata),
    log: {
      epochStarted: (name, epoch, reason) => logged.push(`${name} ${epoch} ${reason}`),
      leaseLapsed: (name, who, last) => logged.push(`${name} lapsed ${who} ${last}`),
      leaseReplaced: (name, who) => logged.push(`${name} replaced ${who}`),
      homeserverForgotten: (name) => logged.push(`${name} forgotten`),
    },
  });
  const setClock = (ms: number) => {
    nowMs = ms;
  };
  return { state, logged, discarded, turns, setClock };
}

describe("HomeserverState", () => {
  it("begins in an epoch of its own, which it announces", () => {
    const { state, logged, discarded } = newState();
    expect(state.log.position).toEqual({ epoch: "e1", sequence: 0 });
    expect(logged).toEqual([`${ALPHA} e1 started`]);
    expect(discarded).toEqual([]);
    expect(state.lastCallMs).toBe(7);
    expect(state.stats()).toMatchObject({
      epochs: 1,
      suspended: false,
      subscribers: 0,
      writers: 0,
      logChanges: 0,
      logEventIds: 0,
      logBytes: 0,
      logBytesMax: 0,
    });
  });

  it("starts a new epoch with an empty cache on entering and on leaving suspension, and at no other time", () => {
    const { state, logged, discarded } = newState();
    const first = state.metadata;
    state.changeLeases((leases) => leases.declare([W]));
    expect([state.suspended, state.log.position.epoch]).toEqual([true, "e2"]);
    expect(discarded).toEqual([first]);
    state.changeLeases((leases) => leases.declare([W]));
    expect(state.log.position.epoch).toBe("e2");
    const suspended = state.metadata;
    const held = state.changeLeases((leases) => leases.renew(W, token(""), 100));
    expect([held, state.suspended, state.log.position.epoch]).toEqual(["t1", false, "e3"]);
    expect(discarded).toEqual([first, suspended]);
    state.settle(100 + LEASE - 1);
    expect(state.log.position.epoch).toBe("e3");
    state.settle(100 + LEASE);
    expect([state.suspended, state.log.position.epoch]).toEqual([true, "e4"]);
    state.settle(100 + 2 * LEASE);
    expect(state.log.position.epoch).toBe("e4");
    expect(state.stats()).toMatchObject({ epochs: 4, suspended: true, writers: 1 });
    expect(logged.slice(1)).toEqual([
      `${ALPHA} e2 suspended`,
      `${ALPHA} e3 resumed`,
      `${ALPHA} lapsed ${W} t1`,
      `${ALPHA} e4 suspended`,
    ]);
  });

  it("tells the log of a writer whose name was taken over", () => {
    const { state, logged } = newState();
    state.changeLeases((leases) => leases.declare([W]));
    state.changeLeases((leases) => leases.renew(W, token(""), 0));
    state.changeLeases((leases) => leases.end(W));
    expect(logged.slice(-2)).toEqual([`${ALPHA} replaced ${W}`, `${ALPHA} e4 suspended`]);
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
    state.changeLeases((leases) => leases.declare([W]));
    turns.next();
    expect((await next).value).toMatchObject({ kind: "reset", reason: "suspended" });
    expect(state.stats().subscribers).toBe(1);
    await frames.return();
  });

  it("judges the leases by its clock before a subscriber gets a frame", async () => {
    const { state, setClock } = newState();
    state.changeLeases((leases) => leases.declare([W]));
    state.changeLeases((leases) => leases.renew(W, token(""), 0));
    const frames = state.hub.open(undefined, new AbortController().signal);
    await frames.next();
    state.announce({ kind: "homeserverPurged" });
    setClock(LEASE - 1);
    expect((await frames.next()).value).toMatchObject({ kind: "batch" });
    state.announce({ kind: "homeserverPurged" });
    setClock(LEASE);
    expect((await frames.next()).value).toMatchObject({ kind: "reset", reason: "suspended" });
    await frames.return();
  });

  it("counts the changes that it announces", () => {
    const { state } = newState();
    const id = eventId("$a");
    state.announce({ kind: "invalidated", roomId: undefined, eventIds: [id, eventId("$b")] });
    const position = state.announce({ kind: "rejected", roomId: undefined, eventId: id, rejected: true });
    expect(position).toBe(state.log.position);
    expect(state.stats()).toMatchObject({
      changes: { redacted: 0, rejected: 1, invalidated: 1, roomPurged: 0, homeserverPurged: 0 },
      logChanges: 2,
      logEventIds: 3,
    });
    expect(state.stats().logBytes).toBe(state.log.size.bytes);
  });
});
