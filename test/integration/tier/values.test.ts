import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { EventId } from "../../../src/core/model/types.js";
import { eventually } from "../../support/eventually.js";
import { hasRedisServer, type RedisProcess } from "../../support/redis/processes.js";
import { startSingle, type Topology } from "../../support/tier/topologies.js";
import { ALPHA, BETA, entryOf, idOf, plain, TTL_MS, useTiers } from "../../support/tier/use-tiers.js";

/** Metadata's value: where what is in it begins. */
const MAC_AT = 1;
const SEQUENCE_AT = 33;

describe.skipIf(!(await hasRedisServer()))("values that are not what a sidecar stored", () => {
  let topology: Topology;
  let redis: RedisProcess;
  beforeAll(async () => {
    topology = await startSingle();
    redis = topology.servers[0]!;
  });
  afterAll(() => topology.stop());
  const tiers = useTiers();

  const metadataKey = (n: number, homeserver = ALPHA) =>
    `${tiers.keyPrefix()}:m:${Buffer.byteLength(homeserver)}:${homeserver}:${idOf(n)}`;
  /** Changes a value's bytes by a script of the server: the values are not text. */
  const alter = (key: string, expression: string) =>
    redis.command(
      ...["EVAL", `local v = redis.call('GET', KEYS[1]); redis.call('SET', KEYS[1], ${expression})`],
      ...["1", key],
    );
  const flipped = (at: number) =>
    `v:sub(1, ${at}) .. string.char((v:byte(${at + 1}) + 1) % 256) .. v:sub(${at + 2})`;

  it.each([
    ["its MAC altered", "forged", flipped(MAC_AT)],
    ["its sequence altered", "forged", flipped(SEQUENCE_AT)],
    ["its last byte altered", "forged", "v:sub(1, -2) .. '!'"],
    ["torn in the middle", "forged", "v:sub(1, 60)"],
    ["torn after its version", "forged", "v:sub(1, 1)"],
    ["longer", "forged", "v .. 'x'"],
    ["empty", "version", "''"],
    ["of another version", "version", "string.char(2) .. v:sub(2)"],
    ["garbage", "version", "string.rep('garbage', 1000)"],
  ])("metadata is a miss: %s", async (_what, cause, expression) => {
    const { write, read, tier, logged } = await tiers.open(topology);
    await write(ALPHA, [entryOf(1), entryOf(2)]);
    await alter(metadataKey(1), expression);
    expect(plain(await read(ALPHA, [idOf(1), idOf(2)]))).toMatchObject([{ event: { eventId: idOf(2) } }]);
    expect(tier.status().errors[cause]).toBe(1);
    await read(ALPHA, [idOf(1)]);
    // Once an episode, however often.
    expect(logged.filter((line) => line.startsWith(cause))).toHaveLength(1);
  });

  it("metadata is a miss under another event's or another homeserver's name", async () => {
    const { write, read, tier } = await tiers.open(topology);
    await write(ALPHA, [entryOf(1), entryOf(2)]);
    await redis.command("COPY", metadataKey(1), metadataKey(3));
    await redis.command("COPY", metadataKey(1), metadataKey(1, BETA));
    await redis.command("COPY", metadataKey(1), metadataKey(2), "REPLACE");
    expect(await read(ALPHA, [idOf(2), idOf(3)])).toEqual([]);
    expect(await read(BETA, [idOf(1)])).toEqual([]);
    expect(tier.status().errors["forged"]).toBe(3);
    expect(await read(ALPHA, [idOf(1)])).toHaveLength(1);
  });

  it("metadata written with another secret is a miss", async () => {
    const { write } = await tiers.open(topology);
    await write(ALPHA, [entryOf(1)]);
    const other = await tiers.open({ ...topology, secret: Buffer.alloc(32, "another") });
    expect(await other.read(ALPHA, [idOf(1)])).toEqual([]);
  });

  it("a body that was altered, torn, swapped or taken away makes its entry a miss", async () => {
    const { write, read, tier } = await tiers.open(topology);
    const bodyOf = async (n: number) => {
      const before = new Set(await redis.command<string[]>("KEYS", `${tiers.keyPrefix()}:b:*`));
      await write(ALPHA, [entryOf(n, { redaction: undefined })]);
      const after = await redis.command<string[]>("KEYS", `${tiers.keyPrefix()}:b:*`);
      return after.find((key) => !before.has(key))!;
    };
    const [altered, torn, swapped, gone] = [
      await bodyOf(1),
      await bodyOf(2),
      await bodyOf(3),
      await bodyOf(4),
    ];
    await bodyOf(5);
    await alter(altered, flipped(10));
    await alter(torn, "v:sub(1, -2)");
    await redis.command("COPY", altered, swapped, "REPLACE");
    await redis.command("DEL", gone);
    const found = await read(ALPHA, [1, 2, 3, 4, 5].map(idOf));
    expect(found.map(({ event }) => event.eventId)).toEqual([idOf(5)]);
    expect(tier.status().errors["damaged"]).toBe(3);
  });

  it("an entry without its redacted body is a miss: it would be another one", async () => {
    const { write, read } = await tiers.open(topology);
    const redaction = { redactedBy: "$r" as EventId, redactedBody: Buffer.from("{}") };
    const bodies = () => redis.command<string[]>("KEYS", `${tiers.keyPrefix()}:b:*`);
    const before = new Set(await bodies());
    await write(ALPHA, [entryOf(1, { redaction })]);
    for (const key of (await bodies()).filter((key) => !before.has(key))) {
      await redis.command("RENAME", key, "away");
      expect(await read(ALPHA, [idOf(1)])).toEqual([]);
      await redis.command("RENAME", "away", key);
    }
    expect(await read(ALPHA, [idOf(1)])).toHaveLength(1);
  });

  it("keys of another type are misses, and are written over", async () => {
    const { write, read } = await tiers.open(topology);
    await redis.command("LPUSH", metadataKey(1), "x");
    expect(await read(ALPHA, [idOf(1)])).toEqual([]);
    await write(ALPHA, [entryOf(1)]);
    expect(await read(ALPHA, [idOf(1)])).toHaveLength(1);
  });

  it("what has expired is a miss, though Redis still has it", async () => {
    let aheadMs = 0;
    const { write, read } = await tiers.open({ ...topology, wallClock: () => Date.now() + aheadMs });
    await write(ALPHA, [entryOf(1)]);
    aheadMs = 2 * TTL_MS;
    expect(await read(ALPHA, [idOf(1)])).toEqual([]);
  });

  it("nothing stays longer than the time to live, metadata no longer than its own", async () => {
    const { write, tier } = await tiers.open({ ...topology, ttlMs: 60_000 });
    await write(ALPHA, [entryOf(1), { ...entryOf(2), expiresAtMs: Date.now() + 10_000 }]);
    tier.put(ALPHA, [{ ...entryOf(3), expiresAtMs: Date.now() - 1 }]);
    const left = async (key: string) => Number(await redis.command("PTTL", key));
    await write(ALPHA, [entryOf(4)]);
    expect(await left(metadataKey(3))).toBe(-2);
    expect(tier.status().errors["other"]).toBe(0);
    expect(await left(metadataKey(1))).toBeGreaterThan(50_000);
    expect(await left(metadataKey(1))).toBeLessThanOrEqual(60_000);
    expect(await left(metadataKey(2))).toBeLessThanOrEqual(10_000);
    for (const key of await redis.command<string[]>("KEYS", `${tiers.keyPrefix()}:b:*`))
      expect(await left(key)).toBeGreaterThan(0);
  });

  it("survives FLUSHALL, and a restart with data of before", async () => {
    const { write, read } = await tiers.open(topology);
    await write(ALPHA, [entryOf(1)]);
    await redis.command("SAVE");
    await write(ALPHA, [{ ...entryOf(1), asOf: { ...entryOf(1).asOf, sequence: 1 } }, entryOf(2)]);
    await redis.kill();
    await redis.launch();
    await eventually(async () =>
      expect(plain(await read(ALPHA, [idOf(1), idOf(2)]))).toMatchObject([{ asOf: entryOf(1).asOf }]),
    );
    await redis.command("FLUSHALL");
    expect(await read(ALPHA, [idOf(1)])).toEqual([]);
    await write(ALPHA, [entryOf(1)]);
    expect(await read(ALPHA, [idOf(1)])).toHaveLength(1);
  });
});
