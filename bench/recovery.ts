/**
 * How long the PostgreSQL log takes to recover: from the moment at which the network heals, or
 * PostgreSQL starts or is promoted, until every sidecar serves and a change is confirmed. The limits
 * that follow from the rules are 2 s and W + 2 s. Needs PostgreSQL. Run with `npm run bench -- recovery`.
 */
import type { EventStore } from "../src/core/model/store.js";
import type { EventId, Homeserver } from "../src/core/model/types.js";
import { POSTGRES_LIMITS } from "../src/log/postgres/postgres-limits.js";
import { createPostgresLog } from "../src/log/postgres/postgres-log.js";
import { createEventStore } from "../src/store/event-store.js";
import { PostgresServer } from "../test/support/postgres/postgres-server.js";
import { LinkProxy } from "../test/support/redis/link-proxy.js";
import { readEvents } from "../test/support/store/read-events.js";
import { percentile, printMachine, printTable } from "./support/report.js";

const ALPHA = "alpha.example" as Homeserver;
const SIDECARS = 3;
const ROUNDS = Number(process.env["BENCH_ROUNDS"] ?? 8);
/** Longer than a lease, and than it takes until a member is expelled. */
const OUTAGE_MS = 4000;
const MIB = 2 ** 20;

printMachine();
let postgres = await PostgresServer.start({ fsync: "off" });
const link = await LinkProxy.start(postgres.port);
const sidecars = Array.from({ length: SIDECARS }, openSidecar);
try {
  await recovered();
  const rows: (string | number)[][] = [
    ["from", "serves, p50 ms", "max", "a change is confirmed, p50 ms", "max"],
  ];
  rows.push(await measure("the network heals (packets were lost)", healAfterHold));
  rows.push(await measure("the network heals (connections were cut)", healAfterCut));
  rows.push(await measure("a start of PostgreSQL", startAgain));
  rows.push(await measure("a promotion", promote));
  printTable(rows);
  console.log(`W is ${POSTGRES_LIMITS.expelAfterMs} ms`);
} finally {
  for (const store of sidecars) await store.close();
  await link.stop();
  await postgres.stop();
}

/** Makes the log unreachable, makes it reachable again, and returns when it is. */
type Outage = () => Promise<number>;

async function measure(name: string, outage: Outage): Promise<(string | number)[]> {
  const serves: number[] = [];
  const confirms: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const startMs = await outage();
    const [served, confirmed] = await recovered();
    serves.push(served - startMs);
    confirms.push(confirmed - startMs);
  }
  const cells = [serves, confirms].flatMap((times) => [percentile(times, 0.5), Math.max(...times)]);
  return [name, ...cells.map((ms) => ms.toFixed(0))];
}

/** When every sidecar gives a position again, and when a change is confirmed. */
async function recovered(): Promise<readonly [served: number, confirmed: number]> {
  const confirmed = until(() => sidecars[0]!.invalidateEvents(ALPHA, undefined, ["$a" as EventId]));
  const request = { homeserver: ALPHA, eventIds: [], view: "original", minPosition: undefined } as const;
  const served = await Promise.all(sidecars.map((store) => until(() => readEvents(store, request))));
  return [Math.max(...served), await confirmed];
}

async function until(call: () => Promise<unknown>): Promise<number> {
  for (;;) {
    try {
      await call();
      return performance.now();
    } catch {
      await pause(5);
    }
  }
}

async function healAfterHold(): Promise<number> {
  link.set({ toServer: "held", fromServer: "held" });
  await pause(OUTAGE_MS);
  link.set({});
  return performance.now();
}

/** What connects meanwhile is refused. */
async function healAfterCut(): Promise<number> {
  link.lead(1, { drops: true });
  await pause(OUTAGE_MS);
  link.lead(postgres.port, { drops: false });
  return performance.now();
}

/** It counts from when the server takes connections. */
async function startAgain(): Promise<number> {
  await postgres.halt();
  await pause(OUTAGE_MS);
  await postgres.launch();
  return performance.now();
}

async function promote(): Promise<number> {
  const standby = await postgres.standby();
  await postgres.halt("SIGQUIT");
  await standby.promote();
  const old = postgres;
  postgres = standby;
  link.lead(standby.port, { drops: true });
  const promotedMs = performance.now();
  await old.stop();
  return promotedMs;
}

function openSidecar(): EventStore {
  return createEventStore({
    invalidationLog: createPostgresLog({
      target: postgres.target({ port: link.port, socketDirectory: undefined }),
      events: { failed: () => {}, up: () => {}, down: () => {} },
    }),
    memoryBytes: 32 * MIB,
    heapBytesMax: 64 * MIB,
    clock: () => performance.now(),
    wallClock: () => Date.now(),
    observer: { logRestarted: () => {}, homeserverForgotten: () => {} },
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
