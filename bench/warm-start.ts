/**
 * A sidecar that starts beside another that has served the first part of a recorded trace: of its first
 * 500 batches, how many need no read of the database? With a warm tier, without one, and, to compare,
 * at a sidecar that goes on. SPLITCACHE_DATA names the folder of a larger recording than demo/;
 * BENCH_AT is where in the trace it starts, from 0 to 1. Needs PostgreSQL and redis-server.
 */
import { join } from "node:path";
import type { EventStore } from "../src/core/model/store.js";
import type { Epoch, EventId, Homeserver, NewEvent, Position, RoomId } from "../src/core/model/types.js";
import { createPostgresLog } from "../src/log/postgres/postgres-log.js";
import { createEventStore } from "../src/store/event-store.js";
import type { Tier } from "../src/tier/port.js";
import { createRedisTier } from "../src/tier/redis/redis-tier.js";
import { NO_CREDENTIALS } from "../src/tier/redis/target.js";
import { PostgresServer } from "../test/support/postgres/postgres-server.js";
import { readJsonLines } from "../test/support/shared-data.js";
import { readEvents } from "../test/support/store/read-events.js";
import { startRedisServer } from "./support/redis-server.js";
import { printMachine, printTable } from "./support/report.js";

const FOLDER = process.env["SPLITCACHE_DATA"] ?? "demo";
const AT = Number(process.env["BENCH_AT"] ?? 0.5);
const BATCHES = 500;
const MIB = 2 ** 20;

interface EventLine {
  readonly n: number;
  readonly event_id: string;
  readonly room_id: string;
  readonly room_version: string;
  readonly json: string;
}

/** Of an operation, what a cache sees of it. An ID that is a text was not in the database then. */
interface TraceLine {
  readonly op: string;
  readonly n?: number;
  readonly ids?: readonly (number | string)[];
  readonly room_id?: string;
}

interface OpenSidecar {
  readonly store: EventStore;
  readonly tier: Tier | undefined;
}

/** Each run has a log and entries of its own. */
let homeserver = "" as Homeserver;

printMachine();
const events = new Map<number, NewEvent>();
for await (const line of readJsonLines<EventLine>(join(FOLDER, "events.jsonl.gz"))) {
  events.set(line.n, eventOf(line));
}
const trace: TraceLine[] = [];
for await (const line of readJsonLines<TraceLine>(join(FOLDER, "trace.jsonl.gz"))) trace.push(line);

const postgres = await PostgresServer.start({ fsync: "off" });
const redis = await startRedisServer();
const open: EventStore[] = [];
try {
  await compare();
} finally {
  for (const store of open) await store.close();
  await redis.stop();
  await postgres.stop();
}

async function compare(): Promise<void> {
  const startAt = Math.floor(trace.length * AT);
  homeserver = "goes-on.example" as Homeserver;
  const one = await start(false);
  for (const line of trace.slice(0, startAt)) await play(line, one.store, one.store);
  const goesOn = await playBatches(startAt, one, [one]);

  homeserver = "starts.example" as Homeserver;
  const old = await start(true);
  for (const line of trace.slice(0, startAt)) await play(line, old.store, old.store);
  await tierAtRest(old.tier!);
  const started = [await start(true), await start(false)];
  const [warm, cold] = await playBatches(startAt, old, started);
  const share = (count = 0) => `${((100 * count) / BATCHES).toFixed(1)} %`;
  printTable([
    [`the first ${BATCHES} batches from ${AT} of ${FOLDER}/trace.jsonl.gz`, "without a database read"],
    ["a new sidecar with a warm tier", share(warm)],
    ["a new sidecar without a tier", share(cold)],
    ["a sidecar that goes on", share(goesOn[0])],
  ]);
  for (const { tier } of [old, started[0]!]) console.log("its tier:", JSON.stringify(tier!.status().entries));
}

/** How many of the first batches each of these readers answers whole; another sidecar has the writers. */
async function playBatches(
  startAt: number,
  writer: OpenSidecar,
  readers: readonly OpenSidecar[],
): Promise<readonly number[]> {
  const answered = readers.map(() => 0);
  let batches = 0;
  for (const line of trace.slice(startAt)) {
    if (line.op !== "fetch") {
      await play(line, writer.store, writer.store);
      // The trace is played in a small part of its time: a write has less time to arrive than it had.
      if (writer.tier !== undefined) await tierAtRest(writer.tier, 1);
      continue;
    }
    for (const [at, { store }] of readers.entries()) answered[at]! += await play(line, store, store);
    batches += 1;
    if (batches === BATCHES) break;
  }
  return answered;
}

/** Does what a homeserver does: writers put what they persist, readers put what they miss. 1: a batch that was answered whole. */
async function play(line: TraceLine, reader: EventStore, writer: EventStore): Promise<0 | 1> {
  const ids = (line.ids ?? []).flatMap((id) => (typeof id === "number" ? [events.get(id)!] : []));
  switch (line.op) {
    case "persist":
      await put(writer, [events.get(line.n!)!], await positionOf(writer));
      return 0;
    case "invalidate":
      if (ids.length > 0) {
        const eventIds = ids.map(({ eventId }) => eventId);
        for (let from = 0; from < eventIds.length; from += 500)
          await writer.invalidateEvents(homeserver, undefined, eventIds.slice(from, from + 500));
      }
      return 0;
    case "purge_room":
      await writer.purgeRoom(homeserver, line.room_id as RoomId);
      return 0;
    case "fetch": {
      const eventIds = ids.map(({ eventId }) => eventId);
      const found = await readEvents(reader, {
        homeserver,
        eventIds,
        view: "original",
        minPosition: undefined,
      });
      const missing = ids.filter((_, at) => found.events[at] === undefined);
      if (missing.length > 0 && found.position !== undefined) await put(reader, missing, found.position);
      return missing.length === 0 && ids.length === line.ids!.length ? 1 : 0;
    }
    default:
      return 0;
  }
}

async function put(store: EventStore, events: readonly NewEvent[], asOf: Position): Promise<void> {
  await store.putEvents({ homeserver, events, asOf });
}

async function positionOf(store: EventStore): Promise<Position> {
  const request = { homeserver, eventIds: [], view: "original", minPosition: undefined } as const;
  return (await readEvents(store, request)).position!;
}

async function start(hasTier: boolean): Promise<OpenSidecar> {
  const report = { failed: (_: unknown, text: string) => console.error(text), up: () => {}, down: () => {} };
  const tier = hasTier ? openTier() : undefined;
  const store = createEventStore({
    invalidationLog: createPostgresLog({ target: postgres.target(), events: report }),
    tier,
    memoryBytes: 256 * MIB,
    heapBytesMax: 512 * MIB,
    clock: () => performance.now(),
    wallClock: () => Date.now(),
    observer: { logRestarted: () => {}, homeserverForgotten: () => {} },
  });
  open.push(store);
  // Both connections are there when a put is written.
  while (tier !== undefined && (tier.status().entries.written === 0 || !tier.status().isUp)) {
    const asOf = { epoch: "00".repeat(16) as Epoch, sequence: 0 };
    const expiresAtMs = Date.now() + 60_000;
    tier.put("warm.example" as Homeserver, [{ event: events.values().next().value!, asOf, expiresAtMs }]);
    await pause(10);
  }
  for (;;) {
    try {
      await positionOf(store);
      return { store, tier };
    } catch {
      await pause(10);
    }
  }
}

function openTier(): Tier {
  return createRedisTier({
    target: {
      topology: "single",
      nodes: [{ host: "127.0.0.1", port: redis.port }],
      ...{ primaryName: "", database: 0, tls: false, ...NO_CREDENTIALS },
    },
    keyPrefix: "bench",
    secret: Buffer.alloc(32, 1),
    ttlMs: 3_600_000,
    // Ample on a busy machine: what is late is not what is measured here.
    readMsMax: 5000,
    clock: () => performance.now(),
    wallClock: () => Date.now(),
    observer: { connected: () => {}, failed: (cause, message) => console.error(cause, message) },
  });
}

/** What was put is written in the background. */
async function tierAtRest(tier: Tier, waitMs = 200): Promise<void> {
  for (let before = -1; before !== tier.status().entries.written; ) {
    before = tier.status().entries.written;
    await pause(waitMs);
  }
}

function eventOf({ event_id, room_id, room_version, json }: EventLine): NewEvent {
  return {
    eventId: event_id as EventId,
    roomId: room_id as RoomId,
    roomVersion: room_version,
    body: Buffer.from(json),
    rejected: false,
    rejectedReason: "",
    redaction: undefined,
    internalMetadata: new Uint8Array(),
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
