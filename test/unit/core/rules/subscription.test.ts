import { getEventListeners } from "node:events";
import { describe, expect, it } from "vitest";
import { newCounters } from "../../../../src/core/model/counters.js";
import type { Change, Position } from "../../../../src/core/model/types.js";
import { InvalidationLog } from "../../../../src/core/rules/invalidation-log.js";
import { SubscriberHub } from "../../../../src/core/rules/subscription.js";
import { at, epoch, laterTurns } from "../../../support/core/parts.js";

const purged: Change = { kind: "homeserverPurged" };

function newHub(bounds: { bytesMax?: number } = {}, settle: (log: InvalidationLog) => void = () => {}) {
  const turns = laterTurns();
  const counters = newCounters();
  const log = new InvalidationLog(at(0), { bytesMax: 1e6, eventIdsMax: 1e6, ...bounds });
  const hub = new SubscriberHub({
    log,
    counters,
    defer: turns.defer,
    mayTell: () => {
      settle(log);
      return true;
    },
    onClose: () => {},
  });
  return {
    hub,
    log,
    turns,
    counters,
    append: (times = 1) => {
      for (let n = 0; n < times; n++) log.append(purged);
      hub.wake();
    },
    open: (resumeAfter?: Position) => {
      const abort = new AbortController();
      return { abort, frames: hub.open(resumeAfter, abort.signal) };
    },
  };
}

/** Whether the promise is still pending after all that is due now has run. */
async function isPending(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol();
  return (
    (await Promise.race([promise, new Promise((resolve) => setImmediate(resolve, pending))])) === pending
  );
}

const ended = { done: true, value: undefined };
const frame = (value: object) => ({ done: false, value: expect.objectContaining(value) });

describe("SubscriberHub", () => {
  it("takes a subscriber's place when it opens, not when it first asks: changes in between are sent", async () => {
    const { open, append } = newHub();
    append();
    const { frames } = open();
    append(2);
    expect(await frames.next()).toEqual(frame({ kind: "ready", position: at(1), resumed: false }));
    append();
    expect(await frames.next()).toEqual(frame({ kind: "batch", from: at(1), to: at(4) }));
  });

  it("resumes after the position given, even the current one", async () => {
    const { open, append } = newHub();
    append(2);
    const [early, late] = [open(at(1)).frames, open(at(2)).frames];
    expect(await early.next()).toEqual(frame({ kind: "ready", position: at(1), resumed: true }));
    expect(await late.next()).toEqual(frame({ kind: "ready", position: at(2), resumed: true }));
    expect(await early.next()).toEqual(frame({ kind: "batch", from: at(1), to: at(2) }));
    expect(await isPending(late.next())).toBe(true);
  });

  it("resets a subscriber that cannot resume, counts it by reason, and continues from now", async () => {
    const { open, append, counters } = newHub({ bytesMax: 500 });
    append(10);
    const [otherEpoch, ahead, old] = [open(at(9, epoch("b"))), open(at(11)), open(at(1))];
    const reasons = ["wrongEpoch", "wrongEpoch", "tooOld"];
    for (const [n, { frames }] of [otherEpoch, ahead, old].entries()) {
      expect(await frames.next()).toEqual(frame({ kind: "reset", position: at(10), reason: reasons[n] }));
      append();
      expect((await frames.next()).value).toMatchObject({ kind: "batch", from: at(10) });
      await frames.return();
      open();
    }
    expect(counters.resets).toEqual({ wrongEpoch: 2, tooOld: 1 });
  });

  it("resets a subscriber whose place was trimmed while it lagged, and one whose epoch ended", async () => {
    const { open, append, log, hub, counters } = newHub({ bytesMax: 500 });
    const { frames } = open();
    await frames.next();
    append(10);
    expect(await frames.next()).toEqual(frame({ kind: "reset", position: at(10), reason: "tooOld" }));
    log.restart(at(0, epoch("b")));
    log.append(purged);
    hub.wake();
    const position = at(1, epoch("b"));
    expect(await frames.next()).toEqual(frame({ kind: "reset", position, reason: "wrongEpoch" }));
    expect(counters.resets).toEqual({ wrongEpoch: 1, tooOld: 1 });
    append();
    expect((await frames.next()).value).toMatchObject({ kind: "batch", from: position });
  });

  it("wakes waiting subscribers once a turn, for all changes of the turn", async () => {
    const { open, append, turns } = newHub();
    const { frames } = open();
    await frames.next();
    append();
    // Nobody waits: nothing is put off.
    expect(turns.pending).toBe(0);
    await frames.next();
    const next = frames.next();
    expect(await isPending(next)).toBe(true);
    append(2);
    append();
    expect(turns.pending).toBe(1);
    expect(await isPending(next)).toBe(true);
    turns.next();
    expect(await next).toEqual(frame({ kind: "batch", from: at(1), to: at(4) }));
    const again = frames.next();
    expect(await isPending(again)).toBe(true);
    append();
    expect(turns.pending).toBe(1);
    turns.next();
    expect(await again).toEqual(frame({ kind: "batch", from: at(4), to: at(5) }));
  });

  it("sends one Progress frame a tick to a subscriber that is up to date, and changes first", async () => {
    const { open, append, hub } = newHub();
    const { frames } = open();
    await frames.next();
    const next = frames.next();
    hub.tick();
    expect(await next).toEqual(frame({ kind: "progress", position: at(0) }));
    const silent = frames.next();
    expect(await isPending(silent)).toBe(true);
    append(1500);
    hub.tick();
    expect(await silent).toEqual(frame({ kind: "batch", to: at(1000) }));
    expect(await frames.next()).toEqual(frame({ kind: "batch", to: at(1500) }));
    expect(await frames.next()).toEqual(frame({ kind: "progress", position: at(1500) }));
    expect(await isPending(frames.next())).toBe(true);
  });

  it("sends no Progress for ticks before the subscription began", async () => {
    const { open, hub } = newHub();
    hub.tick();
    const { frames } = open();
    await frames.next();
    expect(await isPending(frames.next())).toBe(true);
  });

  it("counts a subscriber from when it opens until it aborts, returns or has never begun", async () => {
    const { hub, open } = newHub();
    const [aborted, returned, unread] = [open(), open(), open()];
    expect(hub.count).toBe(3);
    await aborted.frames.next();
    const waiting = aborted.frames.next();
    expect(await isPending(waiting)).toBe(true);
    aborted.abort.abort();
    expect(hub.count).toBe(2);
    expect(await waiting).toEqual(ended);
    await returned.frames.next();
    await returned.frames.return();
    expect(hub.count).toBe(1);
    returned.abort.abort();
    expect(hub.count).toBe(1);
    unread.abort.abort();
    expect(hub.count).toBe(0);
  });

  it("is not joined by a subscriber that had gone before it came", async () => {
    const { hub } = newHub();
    const frames = hub.open(undefined, AbortSignal.abort());
    expect(hub.count).toBe(0);
    expect(await frames.next()).toEqual(frame({ kind: "ready" }));
    expect(await frames.next()).toEqual(ended);
    expect(hub.count).toBe(0);
  });

  it("leaves no listener on the signal and no waiter behind", async () => {
    const { hub, turns } = newHub();
    const { signal } = new AbortController();
    const listeners = () => getEventListeners(signal, "abort").length;
    const frames = hub.open(undefined, signal);
    await frames.next();
    for (let n = 0; n < 5; n++) {
      const next = frames.next();
      expect(await isPending(next)).toBe(true);
      expect(listeners()).toBe(2);
      hub.tick();
      await next;
      expect(listeners()).toBe(1);
    }
    await frames.return();
    expect(listeners()).toBe(0);
    hub.wake();
    expect(turns.pending).toBe(0);
  });

  it("judges the leases before every frame but the first, and tells at once that a lapse began an epoch", async () => {
    let lapsed = false;
    const { open, append } = newHub({}, (log) => {
      if (!lapsed) return;
      lapsed = false;
      log.restart(at(0, epoch("b")));
    });
    const { frames } = open();
    append();
    lapsed = true;
    expect(await frames.next()).toEqual(frame({ kind: "ready", position: at(0) }));
    const position = at(0, epoch("b"));
    expect(await frames.next()).toEqual(frame({ kind: "reset", position, reason: "wrongEpoch" }));
  });
});
