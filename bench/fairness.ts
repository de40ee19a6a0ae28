import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { setPriority } from "node:os";
import { performance } from "node:perf_hooks";
import { EventCacheServiceClient } from "../src/gen/splitcache/v1/event_cache_service.js";
import { percentile, printMachine, printTable } from "./support/report.js";
import { type Sidecar, startSidecar } from "./support/sidecar.js";
import { fill, positionOf, putEvents, syntheticEvent, syntheticEventId } from "./support/synthetic.js";

/**
 * A quiet homeserver beside a flooding one: its latency and its hit rate, alone and beside,
 * in turns of one run. The flooding one is a process of its own with the lowest priority,
 * so that it competes for the sidecar and not for the processor of the quiet one.
 */

const EVENTS = 10_000;
const BODY_BYTES = 900;
const IDS = 10;
const PAUSE_MS = 5;
const CALLS = Number(process.env["BENCH_CALLS"] ?? 600);
const ROUNDS = Number(process.env["BENCH_ROUNDS"] ?? 5);
const CONNECTIONS = 4;
const PUTS_IN_FLIGHT = 4;
const EVENTS_PER_PUT = 100;
const FLOODS = ["puts", "purges", "unread streams"] as const;
type Flood = (typeof FLOODS)[number];

const [address, kind] = process.argv.slice(2);
if (address !== undefined && kind !== undefined) await flood(address, kind as Flood);
else await measure();

async function measure(): Promise<void> {
  printMachine();
  const sidecar = await startSidecar(["--memory", "64MiB"], { prefix: ["taskset", "-c", "0"] });
  try {
    const quiet = sidecar.client();
    await fill(quiet, "quiet.example", EVENTS, BODY_BYTES);
    await read(quiet, CALLS);
    const rows: (string | number)[][] = [
      ["beside", "p50 ms", "p99 ms", "alone p99", "ratio p99", "hits", "hits alone"],
    ];
    for (const flood of FLOODS) rows.push(await compare(sidecar, quiet, flood));
    printTable(rows);
  } finally {
    await sidecar.stop();
  }
}

/** Alone and beside the flood in turns; medians of the rounds. */
async function compare(
  sidecar: Sidecar,
  quiet: EventCacheServiceClient,
  flood: Flood,
): Promise<(string | number)[]> {
  const [alone, beside]: [Reads[], Reads[]] = [[], []];
  for (let round = 0; round < ROUNDS; round++) {
    alone.push(await read(quiet, CALLS));
    const flooder = fork(new URL(import.meta.url).pathname, [sidecar.address, flood]);
    await once(flooder, "message");
    beside.push(await read(quiet, CALLS));
    await stop(flooder);
  }
  const median = (rounds: Reads[], of: (reads: Reads) => number) => percentile(rounds.map(of), 0.5);
  const p99 = (reads: Reads) => percentile(reads.latencies, 0.99);
  return [
    flood,
    median(beside, (reads) => percentile(reads.latencies, 0.5)).toFixed(2),
    median(beside, p99).toFixed(2),
    median(alone, p99).toFixed(2),
    (median(beside, p99) / median(alone, p99)).toFixed(2),
    `${(100 * median(beside, (reads) => reads.hitRate)).toFixed(1)} %`,
    `${(100 * median(alone, (reads) => reads.hitRate)).toFixed(1)} %`,
  ];
}

interface Reads {
  readonly latencies: number[];
  readonly hitRate: number;
}

async function read(client: EventCacheServiceClient, calls: number): Promise<Reads> {
  const latencies: number[] = [];
  let hits = 0;
  for (let call = 0; call < calls; call++) {
    const eventIds = Array.from({ length: IDS }, (_, at) => syntheticEventId((call * IDS + at) % EVENTS));
    const startedAt = performance.now();
    hits += await new Promise<number>((resolve, reject) => {
      const request = {
        homeserver: "quiet.example",
        eventIds,
        redactionView: 0 as const,
        minPosition: undefined,
      };
      client.getEvents(request, (error, reply) => (error ? reject(error) : resolve(reply.events.length)));
    });
    latencies.push(performance.now() - startedAt);
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  return { latencies, hitRate: hits / (calls * IDS) };
}

async function stop(flooder: ChildProcess): Promise<void> {
  const exited = once(flooder, "exit");
  flooder.kill();
  await exited;
}

/** Floods until it is killed. */
async function flood(address: string, kind: Flood): Promise<void> {
  setPriority(19);
  const { credentials } = await import("@grpc/grpc-js");
  const clients = Array.from(
    { length: CONNECTIONS },
    () =>
      new EventCacheServiceClient(address, credentials.createInsecure(), {
        "grpc.use_local_subchannel_pool": 1,
      }),
  );
  const homeserver = "flood.example";
  const asOf = await positionOf(clients[0]!, homeserver);
  let next = 1_000_000;
  const batch = () => Array.from({ length: EVENTS_PER_PUT }, () => syntheticEvent(next++, BODY_BYTES));
  // A pool, so that making events does not slow the flood down.
  const pool = Array.from({ length: 200 }, batch);
  const forever = async (act: () => Promise<unknown>) => {
    // What a full capacity refuses is tried again at once.
    for (;;) await act().catch(() => new Promise(setImmediate));
  };
  const purge = (client: EventCacheServiceClient) =>
    new Promise<void>((resolve, reject) => {
      client.purgeHomeserver({ homeserver, newEpoch: false }, (error) => (error ? reject(error) : resolve()));
    });
  for (const client of clients) {
    for (let n = 0; n < PUTS_IN_FLIGHT; n++) {
      if (kind === "puts") {
        void forever(() => putEvents(client, homeserver, pool[next++ % pool.length]!, asOf));
      } else if (kind === "purges") {
        void forever(() => purge(client));
      } else {
        const stream = client.getEventsStream();
        stream.on("error", () => {});
        const eventIds = Array.from({ length: 500 }, (_, at) => syntheticEventId(at));
        const request = { homeserver, eventIds, redactionView: 0 as const, minPosition: undefined };
        for (let id = 0n; id < 1000n; id++) stream.write({ requestId: id, request });
        stream.pause();
      }
    }
  }
  await new Promise((resolve) => setTimeout(resolve, 500));
  process.send?.("flooding");
  await new Promise(() => setInterval(() => {}, 1000));
}
