/**
 * Sidecars over Redis: reads against a client that reads Redis itself, as many as can
 * be and one at a time with Redis further away; what a read costs Redis; notices
 * against a PUBLISH; memory of shared events; recovery after a failover. Needs
 * redis-server 7 or later. All ratios are of one run. BENCH_PARTS names the parts to
 * run, with commas between them.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { createClient } from "@redis/client";
import type { EventId, Homeserver } from "../src/core/types.js";
import type {
  EventCacheServiceClient,
  GetEventsStreamResponse,
  SubscribeResponse,
} from "../src/gen/splitcache/v1/event_cache_service.js";
import { connectToRedis } from "../src/store/redis/connect.js";
import { CountedLog } from "../src/store/redis/counted-log.js";
import { createRedisStore } from "../src/store/redis/redis-store.js";
import { NO_CREDENTIALS } from "../src/store/redis/target.js";
import { startRedisServer } from "./redis-server.js";
import { percentile, printMachine, printTable } from "./report.js";
import { type Sidecar, startSidecar } from "./sidecar.js";
import {
  fill,
  positionOf,
  putEvents,
  REAL_BODY_BYTES,
  syntheticEvent,
  syntheticEventId,
} from "./synthetic.js";

const EVENTS = 20_000;
const BODY_BYTES = 900;
const HOMESERVER = "alpha.example";
const ROUNDS = Number(process.env["BENCH_ROUNDS"] ?? 5);
const READS = 20_000;
const IN_FLIGHT = 32;
/** How many events reads ask for, each of one room, as a recorded trace of a homeserver has it: 4 in the mean. */
const SIZES = [1, 1, 2, 1, 10, 1, 2, 1, 3, 1, 1, 5, 24, 1, 2, 1, 8, 3, 2, 17];

printMachine();
const redis = await startRedisServer();
const over = (...flags: string[]) =>
  startSidecar(["--store", "redis", "--redis-url", `redis://127.0.0.1:${redis.port}`, ...flags]);
const admin = await connect();
const sidecars: Sidecar[] = [await over(), await over()];
try {
  const client = sidecars[0]!.client();
  await fill(client, HOMESERVER, EVENTS, BODY_BYTES);
  const parts: Record<string, () => Promise<void>> = {
    reads: () => compareReads(client),
    distance: compareDistances,
    cost: () => costOfRead(client),
    notices: () => compareNotices(client, sidecars[1]!.client()),
    memory: compareMemory,
    recovery: measureRecovery,
  };
  for (const name of process.env["BENCH_PARTS"]?.split(",") ?? Object.keys(parts)) await parts[name]!();
} finally {
  for (const sidecar of sidecars) await sidecar.stop();
  admin.destroy();
  await redis.stop();
}

async function connect(port = redis.port) {
  const client = createClient({ socket: { port, reconnectStrategy: false } });
  // What it was asked to do fails, too.
  client.on("error", () => {});
  await client.connect();
  return client;
}

function idsOf(read: number): string[] {
  const size = SIZES[read % SIZES.length]!;
  return Array.from({ length: size }, (_, at) => syntheticEventId((read * 7919 + at) % EVENTS));
}

/** Runs reads, so many at a time; reads a second. */
async function rate(read: (ids: string[]) => Promise<number>): Promise<number> {
  const started = performance.now();
  let next = 0;
  const worker = async () => {
    for (let one = next++; one < READS; one = next++) {
      const ids = idsOf(one);
      const found = await read(ids);
      if (found !== ids.length) throw new Error(`${found} of ${ids.length} found`);
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
  return (1000 * READS) / (performance.now() - started);
}

/** What a homeserver that did it all itself would keep. */
async function fillOwn(): Promise<void> {
  for (let from = 0; from < EVENTS; from += 500) {
    const events = Array.from({ length: 500 }, (_, at) => syntheticEvent(from + at, BODY_BYTES));
    await admin.mSet(events.map((event) => [`own:b:${event.eventId}`, event.body.toString()]));
    await admin.mSet(
      events.map((event) => [`own:m:${event.eventId}`, `b:${event.eventId} ${event.internalMetadata}`]),
    );
  }
}

async function compareReads(client: EventCacheServiceClient): Promise<void> {
  await fillOwn();
  const own = await connect();
  const checking = openCheckingReader();
  const stream = openStream(client);
  const rates: [number[], number[], number[]] = [[], [], []];
  for (let round = 0; round < ROUNDS; round++) {
    rates[0].push(await rate(stream.read));
    rates[1].push(await rate((ids) => readItself(own, ids)));
    rates[2].push(await rate(checking.read));
  }
  stream.end();
  own.destroy();
  await checking.close();
  const [sidecar, plain, checked] = rates.map((all) => percentile(all, 0.5));
  printTable([
    ["reads, trace mix", "per second", "ratio"],
    ["GetEventsStream, bodies warm", Math.round(sidecar!), ""],
    ["a client's two MGETs, which nothing checks", Math.round(plain!), (sidecar! / plain!).toFixed(2)],
    ["a client that checks what a sidecar does", Math.round(checked!), (sidecar! / checked!).toFixed(2)],
  ]);
}

/** Reads one at a time, Redis being further and further away, as it is on another machine. */
async function compareDistances(): Promise<void> {
  await fillOwn();
  const rows: (string | number)[][] = [
    ["one read at a time, ms away", "sidecar ms", "two MGETs ms", "ratio"],
  ];
  for (const awayMs of [0, 0.5, 1]) {
    const relay = await startRelay(redis.port, awayMs / 2);
    const sidecar = await startSidecar([
      ...["--store", "redis", "--redis-url", `redis://127.0.0.1:${relay.port}`],
    ]);
    const stream = openStream(sidecar.client());
    const own = await connect(relay.port);
    const time = async (read: (ids: string[]) => Promise<number>) => {
      const times: number[] = [];
      for (let one = 0; one < READS / 10; one++) {
        const started = performance.now();
        await read(idsOf(one));
        times.push(performance.now() - started);
      }
      return percentile(times, 0.5);
    };
    // Once for the bodies, and until what runs often is compiled.
    for (let from = 0; from < EVENTS; from += 100)
      await stream.read(Array.from({ length: 100 }, (_, at) => syntheticEventId(from + at)));
    await time(stream.read);
    await time((ids) => readItself(own, ids));
    const [ours, theirs] = [await time(stream.read), await time((ids) => readItself(own, ids))];
    rows.push([awayMs, ours.toFixed(2), theirs.toFixed(2), (theirs / ours).toFixed(2)]);
    stream.end();
    own.destroy();
    await sidecar.stop();
    await relay.stop();
  }
  printTable(rows);
}

async function startRelay(target: number, delayMs: number) {
  const script = new URL("relay.js", import.meta.url).pathname;
  const child = spawn(process.execPath, [script, String(target), String(delayMs)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const [line] = await once(createInterface({ input: child.stdout }), "line");
  const ended = once(child, "exit");
  return {
    port: Number(line),
    stop: async () => {
      child.stdin.end();
      await ended;
    },
  };
}

/**
 * A client that reads Redis itself, and serves nothing stale or foreign: the sidecar's
 * own store in the client's process, without its cache of bodies, so that each read is
 * two round trips.
 */
function openCheckingReader() {
  const ignore = () => {};
  const clock = () => performance.now();
  const redisLog = new CountedLog({
    connected: ignore,
    disconnected: ignore,
    trouble: ignore,
    wellnessChanged: ignore,
  });
  const nodes = [{ host: "127.0.0.1", port: redis.port }];
  const target = { topology: "single", nodes, primaryName: "", database: 0, tls: false } as const;
  const store = createRedisStore({
    link: connectToRedis({ ...target, ...NO_CREDENTIALS }, clock, redisLog),
    redisLog,
    clock,
    keyPrefix: "splitcache",
    memoryBytes: 4 * BODY_BYTES,
    heapBytesMax: 4 * BODY_BYTES,
    log: { epochStarted: ignore, leaseLapsed: ignore, leaseReplaced: ignore, homeserverForgotten: ignore },
  });
  return {
    read: async (ids: string[]): Promise<number> => {
      const { events } = await store.getEvents({
        homeserver: HOMESERVER as Homeserver,
        eventIds: ids as EventId[],
        view: "redacted",
        minPosition: undefined,
      });
      return events.filter((event) => event !== undefined).length;
    },
    close: () => store.close(),
  };
}

/** The least that a client does that has no sidecar: the metadata, then the bodies that it names. */
async function readItself(own: Awaited<ReturnType<typeof connect>>, ids: string[]): Promise<number> {
  const metadata = await own.mGet(ids.map((id) => `own:m:${id}`));
  const bodies = await own.mGet(metadata.map((one) => `own:${one!.slice(0, one!.indexOf(" "))}`));
  return bodies.filter((body) => body !== null).length;
}

/** Times of one thing and of another, and how much longer the other takes. */
function printTimes(title: string, times: readonly [[string, number[]], [string, number[]]]): void {
  const shares = [0.5, 0.99];
  const [one, other] = times.map(([, all]) => shares.map((share) => percentile(all, share)));
  printTable([
    [title, "p50 ms", "p99 ms"],
    ...times.map(([what, all]) => [what, ...shares.map((share) => percentile(all, share).toFixed(2))]),
    ["ratio", ...shares.map((_, at) => (other![at]! / one![at]!).toFixed(2))],
  ]);
}

/** One read stream, as a worker keeps it. */
function openStream(client: EventCacheServiceClient) {
  const call = client.getEventsStream();
  const waiting = new Map<bigint, (found: number) => void>();
  let requestId = 0n;
  call.on("data", (reply: GetEventsStreamResponse) => {
    const { requestId, result } = reply;
    waiting.get(requestId)?.(result?.$case === "response" ? result.value.events.length : -1);
    waiting.delete(requestId);
  });
  call.on("error", () => {});
  return {
    read: (eventIds: string[]): Promise<number> =>
      new Promise((resolve) => {
        requestId += 1n;
        waiting.set(requestId, resolve);
        const request = {
          homeserver: HOMESERVER,
          eventIds,
          redactionView: 2 as const,
          minPosition: undefined,
        };
        call.write({ requestId, request });
      }),
    end: () => call.end(),
  };
}

/** What reads of ten warm events cost Redis, one at a time. */
async function costOfRead(client: EventCacheServiceClient): Promise<void> {
  const stream = openStream(client);
  const ids = Array.from({ length: 10 }, (_, at) => syntheticEventId(at));
  const info = async (name: string) => Number(new RegExp(`${name}:(\\d+)`).exec(await admin.info())![1]);
  const sent = async () => [await info("total_net_output_bytes"), await info("total_commands_processed")];
  await stream.read(ids);
  const [bytesIdle, commandsIdle] = await difference(sent, async () => {});
  const [bytes, commands] = await difference(sent, async () => {
    for (let n = 0; n < 500; n++) await stream.read(ids);
  });
  stream.end();
  const internal = syntheticEvent(1, BODY_BYTES).internalMetadata.length;
  printTable([
    ["a warm read of ten events", ""],
    ["commands (the script's own included)", ((commands! - commandsIdle!) / 500).toFixed(1)],
    [
      "bytes from Redis an event, without its internal metadata",
      Math.round((bytes! - bytesIdle!) / 5000 - internal),
    ],
  ]);
}

async function difference(read: () => Promise<number[]>, act: () => Promise<void>): Promise<number[]> {
  const before = await read();
  await act();
  return (await read()).map((value, at) => value - before[at]!);
}

/** From a SetRedaction at one sidecar to a subscriber at another, against a bare PUBLISH. */
async function compareNotices(
  writer: EventCacheServiceClient,
  reader: EventCacheServiceClient,
): Promise<void> {
  const publisher = await connect();
  const listener = await connect();
  let heard: () => void = () => {};
  await listener.subscribe("hop", () => heard());
  const subscription = reader.subscribe({
    homeserver: HOMESERVER,
    resumeAfter: undefined,
    subscriber: "bench",
  });
  subscription.on("error", () => {});
  await new Promise<void>((resolve) => {
    subscription.on("data", ({ frame }: SubscribeResponse) => {
      if (frame?.$case === "ready") resolve();
      if (frame?.$case === "batch") heard();
    });
  });
  const timed = async (start: () => void) => {
    const started = performance.now();
    const arrived = new Promise<void>((resolve) => {
      heard = resolve;
    });
    start();
    await arrived;
    return performance.now() - started;
  };
  const [hops, notices]: [number[], number[]] = [[], []];
  for (let n = 0; n < 1000; n++) {
    hops.push(await timed(() => void publisher.publish("hop", "")));
    const eventId = syntheticEventId(n);
    const redaction = { redactedBy: "$r", redactedBody: Buffer.from("{}") };
    const request = { homeserver: HOMESERVER, roomId: "", eventId, redaction, asOf: undefined };
    notices.push(await timed(() => writer.setRedaction(request, () => {})));
  }
  subscription.cancel();
  publisher.destroy();
  listener.destroy();
  printTimes("notices", [
    ["PUBLISH to SUBSCRIBE", hops],
    ["SetRedaction to a notice elsewhere", notices],
  ]);
}

/** Twenty homeservers with the same events: as one cache, and each with a store of its own. */
async function compareMemory(): Promise<void> {
  const homeservers = Array.from({ length: 20 }, (_, n) => `hs${n}.example`);
  const count = Number(process.env["BENCH_SHARED_EVENTS"] ?? 5000);
  const used = async () => Number(/used_memory:(\d+)/.exec(await admin.info("memory"))![1]);
  const taken = async (prefixOf: (homeserver: string) => string) => {
    await admin.flushAll();
    const before = await used();
    for (const homeserver of homeservers) {
      const sidecar = await over("--redis-key-prefix", prefixOf(homeserver));
      await positionOf(sidecar.client(), homeserver);
      await fill(sidecar.client(), homeserver, count, REAL_BODY_BYTES);
      await sidecar.stop();
    }
    return (await used()) - before;
  };
  const separate = await taken((homeserver) => homeserver);
  const shared = await taken(() => "shared.ex");
  printTable([
    [`20 homeservers, ${count} events`, "MiB in Redis"],
    ["each with a store of its own", (separate / 2 ** 20).toFixed(1)],
    ["one cache", (shared / 2 ** 20).toFixed(1)],
    ["ratio", (shared / separate).toFixed(2)],
  ]);
}

/** From the new primary's first answer to the first hit, when Sentinels make a replica primary. */
async function measureRecovery(): Promise<void> {
  const primary = await startRedisServer();
  const follows = ["--replicaof", `127.0.0.1 ${primary.port}`];
  const replicas = [await startRedisServer({ args: follows }), await startRedisServer({ args: follows })];
  const watches = [
    `sentinel monitor primary 127.0.0.1 ${primary.port} 1`,
    "sentinel down-after-milliseconds primary 1000",
  ].join("\n");
  const sentinel = await startRedisServer({ watches });
  // Sentinels cut connections to a server that changes its part.
  const own = replicas.map(({ port }) => createClient({ socket: { port, reconnectStrategy: 5 } }));
  for (const client of own) await client.on("error", () => {}).connect();
  const until = async (isTrue: () => Promise<boolean>) => {
    const endMs = performance.now() + 60_000;
    while (!(await isTrue().catch(() => false))) {
      if (performance.now() > endMs) throw new Error("it does not come to that: is the machine busy?");
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  const tell = async (text: string) => {
    const infos = await Promise.all(own.map((client) => client.info("replication")));
    return infos.filter((info) => info.includes(text)).length;
  };
  await until(async () => (await tell("master_link_status:up")) === replicas.length);
  const url = `redis-sentinel://127.0.0.1:${sentinel.port}/primary`;
  const sidecar = await startSidecar(["--store", "redis", "--redis-url", url]);
  try {
    const client = sidecar.client();
    const isHit = async () => {
      await putEvents(
        client,
        HOMESERVER,
        [syntheticEvent(1, BODY_BYTES)],
        await positionOf(client, HOMESERVER),
      );
      const request = { homeserver: HOMESERVER, eventIds: [syntheticEventId(1)], redactionView: 2 as const };
      return new Promise<boolean>((resolve) => {
        client.getEvents({ ...request, minPosition: undefined }, (error, reply) =>
          resolve(error === null && reply.events.length === 1),
        );
      });
    };
    await until(isHit);
    const isPrimary = until(async () => (await tell("role:master")) === 1);
    const killed = performance.now();
    await primary.stop();
    await isPrimary;
    const answered = performance.now();
    await until(isHit);
    const recovered = performance.now();
    printTable([
      ["a failover", "ms"],
      ["from the primary's end to the new one's first answer", Math.round(answered - killed)],
      ["from that to the first hit (2000 at most)", Math.round(recovered - answered)],
    ]);
  } finally {
    await sidecar.stop();
    for (const client of own) client.destroy();
    for (const server of [sentinel, ...replicas]) await server.stop();
  }
}
