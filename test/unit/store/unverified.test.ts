import { describe, expect, it, vi } from "vitest";
import type { Position } from "../../../src/core/model/types.js";
import { LogUnderTest } from "../../support/store/log-under-test.js";
import {
  ALPHA,
  asHomeserver,
  BETA,
  eventId,
  makeMemoryStore,
  messageEvent,
  ROOM,
} from "../../support/store/store-harness.js";
import { useStores } from "../../support/store/use-store.js";

describe("a store over a log that others append to", () => {
  const newStore = useStores((log: LogUnderTest) => makeMemoryStore({ invalidationLog: log }));

  function open() {
    const log = new LogUnderTest();
    const { store } = newStore(log);
    return { log, store, alpha: asHomeserver(store, ALPHA) };
  }

  async function filled() {
    const all = open();
    await all.alpha.put([messageEvent("$a"), messageEvent("$b")]);
    return all;
  }

  it("serves nothing, gives no position and takes no put while it is not current", async () => {
    const { log, store, alpha } = await filled();
    const asOf = await alpha.position();
    log.isCurrent = false;
    const reading = alpha.get(["$a"]);
    const putting = store.putEvents({ homeserver: ALPHA, events: [messageEvent("$c")], asOf });
    log.settle();
    expect(await reading).toEqual({ position: undefined, events: [undefined] });
    await Promise.resolve();
    log.settle();
    expect(await putting).toEqual({ outcomes: ["unverified"], position: undefined });
    const asking = alpha.position();
    log.settle();
    await expect(asking).rejects.toMatchObject({ kind: "unavailable" });
    expect(alpha.stats()).toMatchObject({ misses: { unverified: 1 }, puts: { unverified: 1 } });
    log.isCurrent = true;
    expect(await alpha.hits("$a", "$c")).toEqual(["$a"]);
  });

  it("keeps the fence when it drops its entries and stays where it was in the log", async () => {
    const { log, alpha } = await filled();
    const asOf = await alpha.position();
    for (const id of ["$a", "$c"]) {
      const invalidating = alpha.invalidate([id]);
      await vi.waitFor(() => expect(log.appended).not.toHaveLength(0));
      for (const { apply } of log.appended.splice(0)) apply();
      await invalidating;
    }
    log.copy!.dropEntries("expelled");
    expect(await alpha.hits("$a", "$b")).toEqual([]);
    expect(await alpha.put([messageEvent("$a"), messageEvent("$b")], asOf)).toEqual(["fenced", "stored"]);
  });

  it("answers a read before it returns unless the read has to wait", async () => {
    const { log, store, alpha } = await filled();
    const position = await alpha.position();
    const read = (minPosition?: Position) => {
      let hits: number | undefined;
      const waiting = store.getEvents(
        { homeserver: ALPHA, eventIds: [eventId("$a")], view: "redacted", minPosition },
        ({ events }) => {
          hits = events.filter((event) => event !== undefined).length;
        },
      );
      return { waiting, hits: () => hits };
    };
    for (const minPosition of [undefined, position]) {
      const { waiting, hits } = read(minPosition);
      expect([waiting, hits()]).toEqual([undefined, 1]);
    }
    const ahead = read({ ...position, sequence: position.sequence + 1 });
    log.isCurrent = false;
    const behind = read();
    expect([ahead.hits(), behind.hits()]).toEqual([undefined, undefined]);
    log.isCurrent = true;
    log.settle();
    await Promise.all([ahead.waiting, behind.waiting]);
    // A copy that did not catch up has nothing of that position.
    expect([ahead.hits(), behind.hits()]).toEqual([0, 1]);
  });

  it("waits for a copy that is about to become current", async () => {
    const { log, alpha } = await filled();
    log.isCurrent = false;
    const reading = alpha.hits("$a");
    log.isCurrent = true;
    log.settle();
    expect(await reading).toEqual(["$a"]);
  });

  it("asks whether it is current after every wait, in the step of the lookup", async () => {
    const { log, store, alpha } = await filled();
    const ahead = { ...(await alpha.position()), sequence: 5 };
    const reading = alpha.get(["$a"], { minPosition: ahead });
    await Promise.resolve();
    log.isCurrent = false;
    log.settle();
    expect((await reading).events).toEqual([undefined]);
    expect(store.stats().homeservers.get(ALPHA)?.misses.unverified).toBe(1);
  });

  it("refuses a subscriber while it is not current", async () => {
    const { log, alpha } = open();
    await alpha.position();
    log.isCurrent = false;
    const first = alpha.subscribe().frame();
    log.settle();
    await expect(first).rejects.toMatchObject({ kind: "unavailable" });
  });

  it("answers a change when the log has confirmed it, and not before", async () => {
    const { log, alpha } = await filled();
    const asOf = await alpha.position();
    const redacting = alpha.redact("$a", "$r", { asOf });
    await new Promise(setImmediate);
    const pending = Symbol();
    expect(await Promise.race([redacting, Promise.resolve(pending)])).toBe(pending);
    expect(log.appended[0]?.change).toMatchObject({ kind: "redacted", roomId: ROOM, eventId: "$a" });
    log.appended[0]?.apply();
    expect(await redacting).toEqual({ outcome: "applied", position: { ...asOf, sequence: 1 } });
    const [hit] = (await alpha.get(["$a"])).events;
    expect(hit?.state.redaction?.redactedBy).toBe("$r");
  });

  it("drops the entry instead of writing the value if another's change was applied in between", async () => {
    const { log, alpha } = await filled();
    const asOf = await alpha.position();
    const redacting = alpha.redact("$a", "$r", { asOf });
    await new Promise(setImmediate);
    log.copy?.apply({ kind: "rejected", roomId: ROOM, eventId: eventId("$a"), rejected: true });
    await alpha.put([messageEvent("$a")]);
    log.appended[0]?.apply();
    expect(await redacting).toMatchObject({ outcome: "dropped" });
    expect(await alpha.hits("$a")).toEqual([]);
  });

  it("never writes the value of another sidecar's change", async () => {
    const { log, alpha } = await filled();
    log.copy?.apply({ kind: "redacted", roomId: ROOM, eventId: eventId("$a"), redactedBy: eventId("$r") });
    expect(await alpha.hits("$a", "$b")).toEqual(["$b"]);
  });

  it("reports a change that the log could not confirm as the log does", async () => {
    const { log, alpha } = await filled();
    const purging = alpha.purgeRoom(ROOM);
    await new Promise(setImmediate);
    log.appended[0]?.fail(new Error("the log is away"));
    await expect(purging).rejects.toThrow("the log is away");
    expect(await alpha.hits("$a")).toEqual(["$a"]);
  });

  it("drops everything for a change that it does not know", async () => {
    const { log, alpha } = await filled();
    log.copy?.applyUnknown();
    expect(await alpha.hits("$a", "$b")).toEqual([]);
  });

  it("fences a fill that is older than another's change, and accepts a fill that is ahead once the copy has caught up", async () => {
    const { log, alpha } = await filled();
    const before = await alpha.position();
    const ahead = { ...before, sequence: 1 };
    const putting = alpha.put([messageEvent("$c")], ahead);
    await new Promise(setImmediate);
    expect(log.awaited).toEqual([ahead]);
    log.copy?.apply({ kind: "invalidated", roomId: undefined, eventIds: [eventId("$c")] });
    log.settle();
    expect(await putting).toEqual(["stored"]);
    expect(await alpha.put([messageEvent("$c")], before)).toEqual(["fenced"]);
  });

  it("leaves the log of a homeserver that it forgets when it holds nothing of it any more", async () => {
    const log = new LogUnderTest();
    const { store, advance } = makeMemoryStore({ invalidationLog: log, homeserversMax: 1 });
    const left: [string, number][] = [];
    log.onLeave = (name) => left.push([name, store.stats().metadata.entries]);
    await asHomeserver(store, ALPHA).put([messageEvent("$a")]);
    await advance(10 * 60 * 1000);
    await asHomeserver(store, BETA).position();
    expect(left).toEqual([[ALPHA, 0]]);
    await store.close();
  });

  it("stores nothing for a homeserver that it forgot while the put waited", async () => {
    const log = new LogUnderTest();
    const { store, advance } = makeMemoryStore({ invalidationLog: log, homeserversMax: 1 });
    const alpha = asHomeserver(store, ALPHA);
    const asOf = await alpha.position();
    log.isCurrent = false;
    const putting = alpha.put([messageEvent("$a")], asOf);
    await new Promise(setImmediate);
    await advance(10 * 60 * 1000);
    log.isCurrent = true;
    await asHomeserver(store, BETA).position();
    log.settle();
    expect(await putting).toEqual(["unverified"]);
    // What it stored would be reached by nobody, and would stay.
    expect(store.stats()).toMatchObject({ events: { entries: 0 }, metadata: { entries: 0 } });
    await store.close();
  });
});
