/**
 * The Redis tier: memory of events that homeservers share against separate copies;
 * time and CPU of a get against MGETs of the same values; CPU of a put. Needs
 * redis-server. All ratios are of one run. BENCH_SHARED_EVENTS is how many events the
 * 20 homeservers share.
 */
import { createClient, RESP_TYPES } from "@redis/client";
import type { Epoch, EventId, Homeserver, RoomId } from "../src/core/model/types.js";
import type { Tier, TierEntry } from "../src/tier/port.js";
import { createRedisTier } from "../src/tier/redis/redis-tier.js";
import { NO_CREDENTIALS } from "../src/tier/redis/target.js";
import { startRedisServer } from "./support/redis-server.js";
import { percentile, printMachine, printTable } from "./support/report.js";
import { REAL_BODY_BYTES, syntheticEvent } from "./support/synthetic.js";

const HOMESERVERS = 20;
const SHARED_EVENTS = Number(process.env["BENCH_SHARED_EVENTS"] ?? 5000);
const IDS = 100;
const ROUNDS = 1000;
const EPOCH = "000102030405060708090a0b0c0d0e0f" as Epoch;

printMachine();
const redis = await startRedisServer();
const own = createClient({
  RESP: 3,
  socket: { port: redis.port, host: "127.0.0.1" },
  // As in the tier: a time limit of the library's is a timer for each command.
  commandOptions: { timeout: 0 },
});
await own.connect();
try {
  await compareReads();
  await measurePuts();
  await compareMemory();
} finally {
  own.destroy();
  await redis.stop();
}

function entryOf(n: number): TierEntry {
  const { eventId, roomId, roomVersion, body, internalMetadata } = syntheticEvent(
    n,
    REAL_BODY_BYTES[n % REAL_BODY_BYTES.length]!,
  );
  return {
    event: {
      ...{ eventId: eventId as EventId, roomId: roomId as RoomId, roomVersion, body, internalMetadata },
      ...{ rejected: false, rejectedReason: "", redaction: undefined },
    },
    asOf: { epoch: EPOCH, sequence: 123_456 },
    expiresAtMs: Date.now() + 24 * 3_600_000,
  };
}

async function openTier(keyPrefix: string): Promise<Tier> {
  const tier = createRedisTier({
    target: {
      topology: "single",
      nodes: [{ host: "127.0.0.1", port: redis.port }],
      ...{ primaryName: "", database: 0, tls: false, ...NO_CREDENTIALS },
    },
    keyPrefix,
    secret: Buffer.alloc(32, 1),
    ttlMs: 3_600_000,
    clock: () => performance.now(),
    wallClock: () => Date.now(),
    observer: { connected: () => {}, failed: (cause, message) => console.log(cause, message) },
  });
  // Both connections are there when a put is written.
  while (tier.status().entries.written === 0 || !tier.status().isUp) {
    tier.put("warm.example" as Homeserver, [entryOf(0)]);
    await pause(10);
  }
  return tier;
}

/** Puts events [0, count) as fast as the tier takes them. */
async function fill(tier: Tier, homeserver: string, count: number): Promise<void> {
  for (let from = 0; from < count; from += 500) {
    const entries = Array.from({ length: Math.min(500, count - from) }, (_, n) => entryOf(from + n));
    const due = tier.status().entries.written + entries.length;
    tier.put(homeserver as Homeserver, entries);
    while (tier.status().entries.written < due) await pause(0);
  }
}

async function compareReads(): Promise<void> {
  const homeserver = "alpha.example" as Homeserver;
  const tier = await openTier("reads");
  await fill(tier, homeserver, 20_000);
  const idsOf = (round: number) =>
    Array.from({ length: IDS }, (_, n) => entryOf((round * IDS + n) % 20_000).event.eventId);
  const rounds = Array.from({ length: 200 }, (_, round) => idsOf(round));
  const bodies = await own.keys("reads:b:*");
  const mGet = (keys: string[]) =>
    own.sendCommand(["MGET", ...keys], { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } });
  const read = async (round: number) => {
    // On a busy machine a read may be late, and then reads pause.
    while ((await tier.get(homeserver, rounds[round % 200]!))?.length !== IDS) await pause(50);
  };
  const readItself = async (round: number) => {
    await mGet(rounds[round % 200]!.map((id) => `reads:m:${homeserver}:${id}`));
    await mGet(bodies.slice((round % 200) * IDS, (round % 200) * IDS + IDS));
  };
  for (const one of [read, readItself]) await timed(one, ROUNDS / 4);
  const [ours, theirs] = [await timed(read, ROUNDS), await timed(readItself, ROUNDS)];
  printTable([
    [`a get of ${IDS} events, one at a time`, "p50 ms", "p99 ms", "CPU ms"],
    ["the tier", ...ours],
    ["two MGETs of the same values, unchecked", ...theirs],
    ["ratio", ...ours.map((value, at) => (Number(value) / Number(theirs[at])).toFixed(2))],
  ]);
  await tier.close();
}

async function timed(call: (round: number) => Promise<void>, rounds: number): Promise<string[]> {
  const times: number[] = [];
  const before = process.cpuUsage();
  for (let round = 0; round < rounds; round++) {
    const started = performance.now();
    await call(round);
    times.push(performance.now() - started);
  }
  const { user, system } = process.cpuUsage(before);
  return [percentile(times, 0.5), percentile(times, 0.99), (user + system) / 1000 / rounds].map((ms) =>
    ms.toFixed(2),
  );
}

async function measurePuts(): Promise<void> {
  const tier = await openTier("puts");
  const entries = Array.from({ length: 20_000 }, (_, n) => entryOf(n));
  const before = process.cpuUsage();
  let held = 0;
  for (let from = 0; from < entries.length; from += 500) {
    const due = tier.status().entries.written + 500;
    const started = performance.now();
    tier.put("alpha.example" as Homeserver, entries.slice(from, from + 500));
    held += performance.now() - started;
    while (tier.status().entries.written < due) await pause(1);
  }
  const { user, system } = process.cpuUsage(before);
  await tier.close();
  const own = await measureSets(entries);
  const cpu = (user + system) / entries.length;
  printTable([
    ["a put", "µs an event"],
    ["CPU", cpu.toFixed(1)],
    ["of it in the call", ((held * 1000) / entries.length).toFixed(1)],
    ["CPU of two SETs of the same size", own.toFixed(1)],
    ["ratio", (cpu / own).toFixed(2)],
  ]);
}

async function measureSets(entries: readonly TierEntry[]): Promise<number> {
  const metadata = Buffer.alloc(190);
  const before = process.cpuUsage();
  for (let from = 0; from < entries.length; from += 50) {
    const sent = entries
      .slice(from, from + 50)
      .flatMap(({ event }) => [
        own.sendCommand(["SET", `own:b:${event.eventId}`, Buffer.from(event.body), "PX", "3600000"]),
        own.sendCommand(["SET", `own:m:alpha.example:${event.eventId}`, metadata, "PX", "3600000"]),
      ]);
    await Promise.all(sent);
  }
  const { user, system } = process.cpuUsage(before);
  return (user + system) / entries.length;
}

/** Twenty homeservers with the same events: as one tier, and each with a tier of its own. */
async function compareMemory(): Promise<void> {
  const taken = async (prefixOf: (homeserver: string) => string) => {
    await own.flushAll();
    const before = await usedBytes();
    for (let n = 0; n < HOMESERVERS; n++) {
      const tier = await openTier(prefixOf(`hs${n}.example`));
      await fill(tier, `hs${n}.example`, SHARED_EVENTS);
      await tier.close();
    }
    return (await usedBytes()) - before;
  };
  const separate = await taken((homeserver) => homeserver);
  const shared = await taken(() => "splitcache");
  const perEvent = (bytes: number) => Math.round(bytes / SHARED_EVENTS / HOMESERVERS);
  printTable([
    [`${HOMESERVERS} homeservers, ${SHARED_EVENTS} events`, "MiB in Redis", "bytes an event and homeserver"],
    ["each with a tier of its own", (separate / 2 ** 20).toFixed(1), perEvent(separate)],
    ["one tier", (shared / 2 ** 20).toFixed(1), perEvent(shared)],
    ["ratio", (shared / separate).toFixed(3), ""],
  ]);
}

async function usedBytes(): Promise<number> {
  return Number(/used_memory:(\d+)/.exec(await own.info("memory"))![1]);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
