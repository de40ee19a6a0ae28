import { describe, expect, it } from "vitest";
import { eventually } from "../../support/eventually.js";
import { hasRedisServer } from "../../support/redis/processes.js";
import { useRedis } from "../../support/redis/use-redis.js";
import { ALPHA, messageEvent, ROOM, TTL_MS, token, writer } from "../../support/store-harness.js";

describe.skipIf(!(await hasRedisServer()))("when Redis loses something", () => {
  const { server, keyPrefix, key, keysOf, newAlpha } = useRedis();

  it("serves nothing that a lost key would have forbidden, whichever it is", async () => {
    // A room's token, which names a key, is not text.
    const lose =
      "local all = redis.call('KEYS', ARGV[1]) table.sort(all) return all[ARGV[2] + 0] and redis.call('DEL', all[ARGV[2] + 0])";
    let lost = 0;
    for (let isLost = true; isLost; lost++) {
      await server().command("FLUSHALL");
      const { alpha } = newAlpha();
      const before = await alpha.position();
      await alpha.put([messageEvent("$a")]);
      await alpha.invalidate(["$b"]);
      const subscriber = alpha.subscribe(before);
      await subscriber.frame();
      isLost = (await server().command("EVAL", lose, "0", key("*"), String(lost + 1))) !== null;
      // $b was invalidated after this position; nobody may forget that.
      expect(await alpha.put([messageEvent("$b")], before)).not.toEqual(["stored"]);
      expect(await alpha.hits("$b")).toEqual([]);
      await alpha.invalidate(["$a"]);
      expect(await alpha.hits("$a")).toEqual([]);
      await subscriber.close();
    }
    // The last one tried was none: state, log, fence, the event, its room's two and the proof.
    expect(lost).toBeGreaterThanOrEqual(8);
  });

  it.each(["r", "t"])(
    "takes a room for purged whose key %s: is lost, also when it is filled again",
    async (kind) => {
      const { alpha } = newAlpha();
      await alpha.put([messageEvent("$a")]);
      const pattern = key(`${kind}:*`).replace(/[[\]]/g, "\\$&");
      // The token is not text.
      const lose = "return redis.call('DEL', unpack(redis.call('KEYS', ARGV[1])))";
      expect(await server().command("EVAL", lose, "0", pattern)).toBe(1);
      expect(await alpha.hits("$a")).toEqual([]);
      await alpha.put([messageEvent("$b")]);
      expect(await alpha.hits("$a", "$b")).toEqual(["$b"]);
      await alpha.purgeRoom(ROOM);
      expect(await alpha.hits("$a", "$b")).toEqual([]);
    },
  );

  it("starts a new epoch when the state is lost, in which nothing from before is alive", async () => {
    const { alpha, logged } = newAlpha();
    await alpha.put([messageEvent("$a")]);
    const before = await alpha.position();
    const subscriber = alpha.subscribe();
    await subscriber.frame();
    await server().command("DEL", key("state"));
    expect(await alpha.hits("$a")).toEqual([]);
    expect((await alpha.position()).epoch).not.toBe(before.epoch);
    expect(await subscriber.change()).toMatchObject({ kind: "reset", reason: "wrongEpoch" });
    expect(logged).toEqual([`${ALPHA} started`, `${ALPHA} lost`]);
    await subscriber.close();
  });

  it("starts a new epoch on another server, though it has the state", async () => {
    const { alpha, logged } = newAlpha();
    await alpha.put([messageEvent("$a")]);
    expect(await alpha.hits("$a")).toEqual(["$a"]);
    // What a failover or a restart changes.
    await server().command("REPLICAOF", "127.0.0.1", "1");
    await server().command("REPLICAOF", "NO", "ONE");
    await eventually(async () => expect(await alpha.hits("$a")).toEqual([]));
    await eventually(() => alpha.put([messageEvent("$a")]));
    expect(logged).toContain(`${ALPHA} replaced`);
  });

  it.each([
    ["all of it", () => server().command("DEL", key("log"))],
    ["its beginning", () => server().command("XTRIM", key("log"), "MAXLEN", "1")],
    ["a change in its midst", () => server().command("XDEL", key("log"), "2-0")],
  ])("resets a subscriber that would resume across a part of the log that is gone: %s", async (_, lose) => {
    const { alpha } = newAlpha();
    const before = await alpha.position();
    for (const id of ["$a", "$b", "$c"]) await alpha.invalidate([id]);
    await lose();
    const subscriber = newAlpha().alpha.subscribe(before);
    expect(await subscriber.frame()).toMatchObject({ kind: "reset", reason: "tooOld" });
    await alpha.invalidate(["$d"]);
    expect(await subscriber.change()).toMatchObject({ notices: [{ sequence: 4 }] });
    await subscriber.close();
  });

  it("goes on announcing when a log that was full is lost", async () => {
    const { alpha } = newAlpha();
    const ids = (round: number) => Array.from({ length: 500 }, (_, at) => `$${round}-${at}`);
    for (let round = 0; round < 132; round++) await alpha.invalidate(ids(round));
    expect(alpha.stats().logEventIds).toBe(65_500);
    await server().command("DEL", key("log"));
    await alpha.invalidate(["$a"]);
    expect(alpha.stats()).toMatchObject({ logChanges: 1, logEventIds: 1 });
  });

  it("reloads its scripts when the server has forgotten them", async () => {
    const { alpha } = newAlpha();
    await alpha.put([messageEvent("$a")]);
    await server().command("SCRIPT", "FLUSH");
    expect(await alpha.hits("$a")).toEqual(["$a"]);
    await alpha.invalidate(["$a"]);
  });

  it("misses an event whose body is gone, and one whose body was damaged", async () => {
    const { alpha } = newAlpha();
    await alpha.put([messageEvent("$a"), messageEvent("$b")]);
    const [first, second] = await keysOf(`${keyPrefix()}:v1:body:`);
    await server().command("DEL", first!);
    await server().command("SET", second!, "something else");
    const { alpha: cold } = newAlpha();
    expect(await cold.hits("$a", "$b")).toEqual([]);
    expect(cold.stats().misses.orphaned).toBe(2);
  });

  it("fills a reply with bodies that are there, though those before them are gone", async () => {
    const { alpha } = newAlpha();
    const many = Array.from({ length: 150 }, (_, n) =>
      messageEvent(`$${n}`, { text: `${n} ${"x".repeat(60_000)}` }),
    );
    for (let at = 0; at < many.length; at += 25) await alpha.put(many.slice(at, at + 25));
    await server().command("DEL", ...(await keysOf(`${keyPrefix()}:v1:body:`)));
    const there = messageEvent("$there");
    await alpha.put([there]);
    const ids = [...many, there].map(({ eventId }) => eventId);
    const { alpha: cold } = newAlpha();
    const { events, loaded } = await cold.get(ids);
    expect(loaded).toBe(ids.length);
    expect(events.flatMap((hit) => hit?.eventId ?? [])).toEqual(["$there"]);
  });

  it("gives every key a time to live", async () => {
    const { store, alpha } = newAlpha();
    await store.renewWriterLease(ALPHA, writer("w"), token(""));
    await alpha.put([
      messageEvent("$a", { redaction: { redactedBy: "$r" as never, redactedBody: undefined } }),
    ]);
    await alpha.invalidate(["$x"]);
    await alpha.purgeRoom(ROOM);
    for (const one of await keysOf(keyPrefix())) {
      expect(Number(await server().command("PTTL", one)), one).toBeGreaterThan(TTL_MS / 2);
    }
  });
});
