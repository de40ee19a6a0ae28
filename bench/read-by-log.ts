/**
 * What a read costs by what stands behind the caches: CPU of a sidecar with the memory
 * log, over PostgreSQL, and over PostgreSQL with a Redis tier; the same requests go to
 * each in turns, 10 IDs by read stream, all hits. What a sidecar uses when idle is
 * measured first and taken off: on a busy machine a turn lasts long. Needs PostgreSQL and redis-server.
 * Run with `npm run bench -- read-by-log`. BENCH_OTHER_BUILD names another build's `dist`
 * folder, which is compared with the memory log.
 */
import { randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { credentials, Client as GrpcClient } from "@grpc/grpc-js";
import {
  EventCacheServiceService,
  GetEventsStreamRequest,
  GetEventsStreamResponse,
} from "../src/gen/splitcache/v1/event_cache_service.js";
import { PostgresServer, SUPERUSER } from "../test/support/postgres/postgres-server.js";
import { startRedisServer } from "./support/redis-server.js";
import { percentile, printMachine, printTable } from "./support/report.js";
import { type Sidecar, startSidecar } from "./support/sidecar.js";
import { fill, positionOf, syntheticEventId } from "./support/synthetic.js";

const HOMESERVER = "alpha.example";
const EVENTS = 20_000;
const BODY_BYTES = 900;
const IDS = 10;
const IDLE_MS = 5000;
const STREAMS = 4;
const IN_FLIGHT = 8;
const ROUNDS = Number(process.env["BENCH_ROUNDS"] ?? 15);
const REQUESTS = Number(process.env["BENCH_REQUESTS"] ?? 4000);

/** Requests as bytes, so that the load costs little beside what it measures. */
const requests = Array.from({ length: 500 }, (_, n) =>
  Buffer.from(
    GetEventsStreamRequest.encode({
      requestId: BigInt(n + 1),
      request: {
        homeserver: HOMESERVER,
        eventIds: Array.from({ length: IDS }, (_, at) => syntheticEventId((n * 997 + at * 31) % EVENTS)),
        redactionView: 0,
        minPosition: undefined,
      },
    }).finish(),
  ),
);

printMachine();
const postgres = await PostgresServer.start({ shared_buffers: "64MB" });
const redis = await startRedisServer();
const overPostgres = ["--log", `postgres://${SUPERUSER}@127.0.0.1:${postgres.port}/postgres?sslmode=disable`];
const folder = mkdtempSync(join(tmpdir(), "splitcache-bench-"));
const keyFile = join(folder, "key");
writeFileSync(keyFile, randomBytes(32).toString("hex"), { mode: 0o600 });
const overRedis = ["--tier", `redis://127.0.0.1:${redis.port}`, "--tier-key-file", keyFile];
const arrangements: [name: string, sidecar: Sidecar][] = [];
try {
  const other = process.env["BENCH_OTHER_BUILD"];
  await add("memory log", []);
  if (other !== undefined) await add("memory log, other build", [], join(other, "main.js"));
  await add("PostgreSQL log", overPostgres);
  if (other !== undefined) await add("PostgreSQL log, other build", overPostgres, join(other, "main.js"));
  await add("PostgreSQL log, Redis tier", [...overPostgres, ...overRedis]);
  await measure();
} finally {
  for (const [, sidecar] of arrangements) await sidecar.stop();
  await redis.stop();
  await postgres.stop();
  rmSync(folder, { recursive: true });
}

async function add(name: string, flags: readonly string[], main?: string): Promise<void> {
  const sidecar = await startSidecar(["--memory", "256MiB", ...flags], main === undefined ? {} : { main });
  arrangements.push([name, sidecar]);
  const client = sidecar.client();
  for (let tries = 0; ; tries++) {
    try {
      await positionOf(client, HOMESERVER);
      break;
    } catch (error) {
      if (tries > 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
  await fill(client, HOMESERVER, EVENTS, BODY_BYTES);
}

async function measure(): Promise<void> {
  const cpu = arrangements.map((): number[] => []);
  for (const [, { address }] of arrangements) await load(address, REQUESTS, true);
  const idle = await idleShares();
  for (let round = 0; round < ROUNDS; round++) {
    for (let turn = 0; turn < arrangements.length; turn++) {
      // Each begins a round in turn: the one before may leave the machine's caches warm.
      const at = (round + turn) % arrangements.length;
      const { address, pid } = arrangements[at]![1];
      const [before, startMs] = [cpuMs(pid), performance.now()];
      await load(address, REQUESTS, false);
      const idleMs = idle[at]! * (performance.now() - startMs);
      cpu[at]!.push((cpuMs(pid) - before - idleMs) / REQUESTS);
    }
  }
  const [base] = cpu;
  printTable([
    ["", "µs of CPU a read", "ratio (median of rounds)", "of the least", "idle, % of a core"],
    ...arrangements.map(([name], at) => {
      const ratios = cpu[at]!.map((value, round) => value / base![round]!);
      return [
        name,
        (percentile(cpu[at]!, 0.5) * 1000).toFixed(1),
        percentile(ratios, 0.5).toFixed(3),
        (Math.min(...cpu[at]!) / Math.min(...base!)).toFixed(3),
        (idle[at]! * 100).toFixed(2),
      ];
    }),
  ]);
}

/** Which share of a core each sidecar uses while nobody calls it. */
async function idleShares(): Promise<number[]> {
  const before = arrangements.map(([, { pid }]) => cpuMs(pid));
  const startMs = performance.now();
  await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
  const elapsedMs = performance.now() - startMs;
  return arrangements.map(([, { pid }], at) => (cpuMs(pid) - before[at]!) / elapsedMs);
}

/** Sends requests over streams, a few in flight on each, and waits for all replies. */
async function load(address: string, count: number, isChecked: boolean): Promise<void> {
  const client = new GrpcClient(address, credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
    "grpc.enable_http_proxy": 0,
  });
  const { path } = EventCacheServiceService.getEventsStream;
  const bytes = (message: Buffer): Buffer => message;
  const perStream = count / STREAMS;
  const run = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const stream = client.makeBidiStreamRequest(path, bytes, bytes);
      let sent = 0;
      let answered = 0;
      const ask = () => {
        if (sent < perStream) stream.write(requests[sent++ % requests.length]!);
      };
      stream.on("data", (reply: Buffer) => {
        if (isChecked) check(reply);
        if (reply.length < IDS * BODY_BYTES) reject(new Error("not all are hits"));
        answered += 1;
        if (answered === perStream) stream.end();
        else ask();
      });
      stream.on("error", reject);
      stream.on("end", resolve);
      for (let n = 0; n < IN_FLIGHT; n++) ask();
    });
  await Promise.all(Array.from({ length: STREAMS }, run));
  client.close();
}

function check(reply: Buffer): void {
  const { result } = GetEventsStreamResponse.decode(reply);
  if (result?.$case !== "response" || result.value.events.length !== IDS) throw new Error("not all are hits");
}

/** CPU time of a process, all threads: exact, where /proc/…/stat counts ticks. */
function cpuMs(pid: number): number {
  let ns = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    ns += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]);
  }
  return ns / 1e6;
}
