import { describe, expect, it } from "vitest";
import type { Change } from "../../../src/core/types.js";
import { eventually } from "../../support/eventually.js";
import { hasRedisServer } from "../../support/redis/processes.js";
import { useRedis } from "../../support/redis/use-redis.js";
import {
  ALPHA,
  asHomeserver,
  BETA,
  homeserver,
  LEASE_MS,
  messageEvent,
  ROOM,
  token,
  writer,
} from "../../support/store-harness.js";

describe.skipIf(!(await hasRedisServer()))("sidecars over one Redis", () => {
  const { server, keyPrefix, key, keysOf, newStore, newAlpha } = useRedis();

  it("sees at once what another has changed", async () => {
    const [{ alpha: one }, { alpha: two }] = [newAlpha(), newAlpha()];
    await one.put([messageEvent("$a", { text: "secret" }), messageEvent("$b")]);
    expect(await two.hits("$a", "$b")).toEqual(["$a", "$b"]);
    await two.redact("$a", "$r", { asOf: await two.position() });
    const [hit] = (await one.get(["$a"])).events;
    expect(Buffer.from(hit!.state.redaction!.redactedBody!).toString()).not.toContain("secret");
    await one.purgeRoom(ROOM);
    expect(await two.hits("$a", "$b")).toEqual([]);
  });

  it("fences a fill that went through one by a change that went through another", async () => {
    const [{ alpha: one }, { alpha: two }] = [newAlpha(), newAlpha()];
    const before = await one.position();
    await two.invalidate(["$a"]);
    expect(await one.put([messageEvent("$a")], before)).toEqual(["fenced"]);
  });

  it("tells the subscribers of one what was changed at another, in order", async () => {
    const [{ alpha: one }, { alpha: two }] = [newAlpha({ progressIntervalMs: 1000 }), newAlpha()];
    const subscriber = one.subscribe();
    expect(await subscriber.frame()).toMatchObject({ kind: "ready" });
    for (let n = 1; n <= 3; n++) {
      await two.invalidate([`$${n}`]);
      expect(await subscriber.change()).toMatchObject({ notices: [{ sequence: n }] });
    }
    await subscriber.close();
  });

  it("goes on following for a subscriber that comes in the same moment as the last one leaves", async () => {
    const { alpha } = newAlpha();
    const last = alpha.subscribe();
    await last.frame();
    const closing = last.close();
    const next = alpha.subscribe();
    await closing;
    await next.frame();
    const channel = key("changes");
    await eventually(async () =>
      expect(await server().command("PUBSUB", "SHARDNUMSUB", channel)).toEqual([channel, 1]),
    );
    await next.close();
    await eventually(async () =>
      expect(await server().command("PUBSUB", "SHARDNUMSUB", channel)).toEqual([channel, 0]),
    );
  });

  it("tells subscribers of a change by its announcement, and reads the log of none", async () => {
    const slowly = { progressIntervalMs: 1000, proofLifetimeMs: 5000 };
    const [{ alpha: one }, { alpha: two }] = [newAlpha(slowly), newAlpha(slowly)];
    const subscriber = one.subscribe();
    await subscriber.frame();
    await two.put([messageEvent("$a"), messageEvent("$b")]);
    await server().command("CONFIG", "RESETSTAT");
    const heard: Change[] = [];
    const hear = async (count: number) => {
      while (heard.length < count) {
        const frame = await subscriber.change();
        if (frame.kind !== "batch") throw new Error(`${frame.kind} instead of a batch`);
        heard.push(...frame.notices.map(({ change }) => change));
      }
    };
    await two.redact("$a", "$r");
    await two.reject("$b", true);
    await two.invalidate(["$ü\u0001/"]);
    await two.purgeRoom(ROOM);
    await hear(4);
    expect(heard).toMatchObject([
      { kind: "redacted", eventId: "$a", redactedBy: "$r", roomId: ROOM },
      { kind: "rejected", eventId: "$b", rejected: true, roomId: ROOM },
      { kind: "invalidated", eventIds: ["$ü\u0001/"] },
      { kind: "roomPurged", roomId: ROOM },
    ]);
    for (let n = 5; n <= 50; n++) {
      await two.invalidate([`$${n}`]);
      await hear(n);
    }
    // One that is made every interval may come between a change and its announcement.
    const calls = /cmdstat_xrange:calls=(\d+)/.exec(await server().command("INFO", "commandstats"));
    expect(Number(calls?.[1] ?? 0)).toBeLessThan(10);
    await subscriber.close();
  });

  it("keeps the copies of logs within their bound while many are read, and none for nobody", async () => {
    const { store } = newAlpha();
    const names = Array.from({ length: 4 }, (_, n) => homeserver(`hs${n}.example`));
    const homes = names.map((name) => asHomeserver(store, name));
    const starts = await Promise.all(homes.map((home) => home.position()));
    const ids = Array.from({ length: 500 }, (_, n) => `$${"x".repeat(60)}${n}`);
    for (let n = 0; n < 20; n++) await Promise.all(homes.map((home) => home.invalidate(ids)));
    const reader = newAlpha({ memoryBytes: 8 * 1024 * 1024, progressIntervalMs: 60_000 });
    const { logBytesMax } = reader.store.stats();
    let most = 0;
    const watch = setInterval(() => {
      most = Math.max(most, reader.store.stats().logBytes);
    }, 0);
    const subscribers = names.map((name, at) => asHomeserver(reader.store, name).subscribe(starts[at]));
    for (const subscriber of subscribers)
      expect(["ready", "reset"]).toContain((await subscriber.frame()).kind);
    clearInterval(watch);
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThanOrEqual(logBytesMax);
    for (const subscriber of subscribers) await subscriber.close();
    expect(reader.store.stats().logBytes).toBe(0);
  });

  it("resumes a subscriber at another sidecar than the one it followed", async () => {
    const [{ alpha: one }, { alpha: two }] = [newAlpha(), newAlpha()];
    const before = await one.position();
    await one.invalidate(["$a"]);
    const subscriber = two.subscribe(before);
    expect(await subscriber.frame()).toEqual({ kind: "ready", position: before, resumed: true });
    expect(await subscriber.change()).toMatchObject({ notices: [{ sequence: 1 }] });
    await subscriber.close();
  });

  it("holds a body once, in Redis and in each sidecar, however many homeservers put it", async () => {
    const { store, alpha } = newAlpha();
    await alpha.put([messageEvent("$a")]);
    await asHomeserver(newStore().store, BETA).put([messageEvent("$a")]);
    expect(await keysOf(`${keyPrefix()}:v1:body:`)).toHaveLength(1);
    expect(await asHomeserver(store, BETA).hits("$a")).toEqual(["$a"]);
    expect(store.stats().events.entries).toBe(1);
  });

  it("judges a lease for all: granted at one, it lapses at every other", async () => {
    const [{ store, alpha: one, advance }, { alpha: two, advance: advanceTwo }] = [newAlpha(), newAlpha()];
    await store.renewWriterLease(ALPHA, writer("w"), token(""));
    await two.put([messageEvent("$a")]);
    expect(await one.hits("$a")).toEqual(["$a"]);
    await advance(LEASE_MS);
    await advanceTwo(0);
    await advance(0);
    expect(await two.hits("$a")).toEqual([]);
    expect(two.stats().suspended).toBe(true);
  });

  it("tells of a lapsed lease at every sidecar, with the token that releases it", async () => {
    const [one, other, late] = [newAlpha(), newAlpha(), newAlpha()];
    const { token: held } = await one.store.renewWriterLease(ALPHA, writer("w"), token(""));
    await one.advance(LEASE_MS);
    for (const { alpha } of [one, other, late]) {
      expect(await alpha.hits("$a")).toEqual([]);
      expect(await alpha.hits("$a")).toEqual([]);
    }
    for (const { logged } of [one, other, late])
      expect(logged.filter((line) => line.includes("lapsed"))).toEqual([`${ALPHA} lapsed w ${held}`]);
  });

  it("lives on while a sidecar dies and another starts", async () => {
    const { store, alpha } = newAlpha();
    await alpha.put([messageEvent("$a")]);
    await store.close();
    expect(await newAlpha().alpha.hits("$a")).toEqual(["$a"]);
  });
});
