import { describe, expect, it } from "vitest";
import type { MetadataEntry } from "../../../../src/core/memory/metadata-cache.js";
import { HOMESERVER_IDLE_MS } from "../../../../src/core/model/limits.js";
import { HomeserverState } from "../../../../src/core/rules/homeserver-state.js";
import { Homeservers } from "../../../../src/core/rules/homeservers.js";
import { at } from "../../../support/core/parts.js";
import { ALPHA, BETA, eventId, homeserver, recordStore } from "../../../support/store/store-harness.js";

const GAMMA = homeserver("gamma.example");

const PURGED = { kind: "homeserverPurged" } as const;

/** A homeserver as its owner keeps it: the table asks the state for all that it needs. */
class Owned {
  readonly state: HomeserverState;

  constructor(state: HomeserverState) {
    this.state = state;
  }

  get name() {
    return this.state.name;
  }

  get lastCallMs() {
    return this.state.lastCallMs;
  }

  set lastCallMs(nowMs: number) {
    this.state.lastCallMs = nowMs;
  }

  get isHeld() {
    return this.state.isHeld;
  }
}

function newHomeservers(homeserversMax = 2, logBytesMax = 1000, clock = () => 0) {
  const forgotten: string[] = [];
  const homeservers = new Homeservers<Owned>({
    homeserversMax,
    logBytesMax,
    create: (name, nowMs, onLogStarts) => {
      const deps = {
        clock,
        defer: (run: () => void) => void setImmediate(run),
        discard: () => {},
        observer: recordStore([]),
      };
      const state = new HomeserverState(name, nowMs, () => true, { ...deps, onLogStarts });
      state.restart(at(0), "started");
      return new Owned(state);
    },
    onForget: ({ name }) => forgotten.push(name),
  });
  const shares = () => [...homeservers.all()].map(({ state }) => state.log.size.bytesMax);
  return { homeservers, forgotten, shares };
}

describe("Homeservers", () => {
  it("makes a homeserver's state once", () => {
    const { homeservers } = newHomeservers();
    const state = homeservers.enter(ALPHA, 5);
    expect(homeservers.enter(ALPHA, 9)).toBe(state);
    expect(state).toMatchObject({ name: ALPHA, lastCallMs: 9 });
    expect([...homeservers.all()]).toEqual([state]);
  });

  it("shares the log budget among the homeservers whose logs hold changes", () => {
    const { homeservers, shares } = newHomeservers(3, 3000);
    homeservers.enter(ALPHA, 0).state.announce(PURGED);
    expect(shares()).toEqual([3000]);
    homeservers.enter(BETA, 0).state.announce(PURGED);
    expect(shares()).toEqual([1500, 1500]);
    homeservers.enter(BETA, 0).state.announce(PURGED);
    expect(shares()).toEqual([1500, 1500]);
    // A homeserver that only reads takes nothing from the others.
    homeservers.enter(GAMMA, 0);
    expect(shares()).toEqual([1500, 1500, 0]);
    homeservers.enter(GAMMA, 0).state.announce(PURGED);
    expect(shares()).toEqual([1000, 1000, 1000]);
  });

  it("counts a homeserver as idle from the end of its last subscription", async () => {
    let nowMs = 0;
    const { homeservers, forgotten } = newHomeservers(2, 1000, () => nowMs);
    const abort = new AbortController();
    await homeservers.enter(ALPHA, 0).state.hub.open(undefined, abort.signal).next();
    nowMs = 2 * HOMESERVER_IDLE_MS;
    abort.abort();
    homeservers.forgetEmpty(nowMs + HOMESERVER_IDLE_MS - 1);
    expect(forgotten).toEqual([]);
    homeservers.forgetEmpty(nowMs + HOMESERVER_IDLE_MS);
    expect(forgotten).toEqual([ALPHA]);
  });

  it("keeps thousands of logs together inside their budget", () => {
    const { homeservers } = newHomeservers(1000, 4096);
    for (let n = 0; n < 1000; n++) {
      const { log } = homeservers.enter(homeserver(`h${n}`), 0).state;
      log.append({ kind: "invalidated", roomId: undefined, eventIds: [eventId("$a".padEnd(1020))] });
    }
    const sizes = [...homeservers.all()].map(({ state }) => state.log.size);
    expect(sizes.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(0);
    for (const { state } of homeservers.all()) {
      const { log } = state;
      expect(log.judge({ ...log.position, sequence: 0 }, eventId("$b"), "!" as never)).toBe("tooOld");
    }
  });

  it("refuses one more than it may know while none is idle, and says when to come back", () => {
    const { homeservers } = newHomeservers();
    homeservers.enter(ALPHA, 0);
    homeservers.enter(BETA, 1);
    expect(() => homeservers.enter(GAMMA, HOMESERVER_IDLE_MS - 1)).toThrow(
      expect.objectContaining({
        kind: "exhausted",
        message: expect.stringContaining("2"),
        retryDelayMs: 60_000,
      }),
    );
    expect([...homeservers.all()].map(({ name }) => name)).toEqual([ALPHA, BETA]);
  });

  it("forgets the homeserver that is idle longest to make room", () => {
    const { homeservers, forgotten } = newHomeservers(3);
    const old = homeservers.enter(ALPHA, 10);
    homeservers.enter(BETA, 5);
    homeservers.enter(GAMMA, 20);
    homeservers.enter(homeserver("delta.example"), 20 + HOMESERVER_IDLE_MS);
    expect(forgotten).toEqual([BETA]);
    homeservers.enter(BETA, 30 + HOMESERVER_IDLE_MS);
    expect(forgotten).toEqual([BETA, ALPHA]);
    const back = homeservers.enter(ALPHA, 40 + HOMESERVER_IDLE_MS);
    expect(forgotten).toEqual([BETA, ALPHA, GAMMA]);
    expect(back).not.toBe(old);
  });

  it("takes no homeserver for idle that has a subscriber", () => {
    const { homeservers, forgotten } = newHomeservers(1);
    homeservers.enter(ALPHA, 0).state.hub.open(undefined, new AbortController().signal);
    homeservers.forgetEmpty(9 * HOMESERVER_IDLE_MS);
    expect(() => homeservers.enter(BETA, 9 * HOMESERVER_IDLE_MS)).toThrow();
    expect(forgotten).toEqual([]);
  });

  it("forgets of itself only homeservers that are idle and hold nothing", () => {
    const { homeservers, forgotten } = newHomeservers(3);
    const full = homeservers.enter(ALPHA, 0);
    full.state.metadata.entries.set(eventId("$a"), {} as MetadataEntry);
    homeservers.enter(BETA, 0);
    homeservers.enter(GAMMA, 1);
    homeservers.forgetEmpty(HOMESERVER_IDLE_MS - 1);
    expect(forgotten).toEqual([]);
    homeservers.forgetEmpty(HOMESERVER_IDLE_MS);
    expect(forgotten).toEqual([BETA]);
    full.state.metadata.entries.delete(eventId("$a"));
    homeservers.forgetEmpty(HOMESERVER_IDLE_MS + 1);
    expect(forgotten).toEqual([BETA, ALPHA, GAMMA]);
    expect([...homeservers.all()]).toEqual([]);
  });
});
