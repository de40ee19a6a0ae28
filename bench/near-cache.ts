// Near hits a second of processor time, against a bare Map, lru-cache alone, and a lookup on the read stream.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import process from "node:process";
import { pathToFileURL } from "node:url";
import v8 from "node:v8";
import vm from "node:vm";
import { LRUCache } from "lru-cache";
import { SplitCache } from "../src/client/split-cache.js";

const EVENTS = 10_000;
const BATCHES = [1, 10, 100];
/** Events between two turns of the event loop: some milliseconds. */
const EVENTS_IN_TURN = 20_000;
const TURNS_MIN = 40;
const SECONDS_MIN = 0.5;
const BODY_BYTES = 900;
const HOMESERVER = "bench.example";

interface Row {
  readonly what: string;
  readonly batch: number;
  readonly perSecond: number;
}

const ids = Array.from({ length: EVENTS }, (_, n) => `$${n.toString(36).padStart(43, "-")}`);

/** Batches of IDs in a random order, made before anything is measured. */
function batchesOf(size: number): string[][] {
  const batches: string[][] = [];
  for (let n = 0; n < 4096; n += 1)
    batches.push(Array.from({ length: size }, () => ids[Math.floor(Math.random() * EVENTS)]!));
  return batches;
}

/** Calls `work` with one batch after another for the measured time; `work` returns how many events it found. */
async function measure(what: string, batch: number, work: Work, eventsInTurn = EVENTS_IN_TURN): Promise<Row> {
  const batches = batchesOf(batch);
  const callsInTurn = Math.ceil(eventsInTurn / batch);
  let rate = 0;
  // The first run warms up.
  for (const turns of [TURNS_MIN / 4, TURNS_MIN]) {
    const endsAt = performance.now() + SECONDS_MIN * 1000 * (turns / TURNS_MIN);
    let events = 0;
    let calls = 0;
    let cpuMs = 0;
    for (let turn = 0; turn < turns || performance.now() < endsAt; turn += 1) {
      const before = process.cpuUsage();
      events += await work(batches, calls, callsInTurn);
      calls += callsInTurn;
      const { user, system } = process.cpuUsage(before);
      cpuMs += (user + system) / 1000;
      // The stream needs turns of the event loop, or the near cache is rightly not used.
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    rate = events / (cpuMs / 1000);
    if (events !== calls * batch) throw new Error(`${what}: ${events} of ${calls * batch} were hits`);
  }
  return { what, batch, perSecond: rate };
}

async function main(): Promise<void> {
  const port = await freePort();
  const sidecar = spawn(
    process.execPath,
    ["dist/main.js", "serve", "--listen", `127.0.0.1:${port}`, "--http", "off", "--log-level", "warn"],
    { stdio: ["ignore", "inherit", "inherit"] },
  );
  try {
    await bench(`127.0.0.1:${port}`);
  } finally {
    sidecar.kill();
    await once(sidecar, "exit");
  }
}

async function bench(address: string): Promise<void> {
  const options = { address, homeserver: HOMESERVER, timeoutMs: 20_000 };
  const near = await SplitCache.connect({ ...options, nearCache: { maxBytes: 64 * 2 ** 20 } });
  const far = await SplitCache.connect(options);
  await fill(far);
  const { heapUsed, external } = memory();
  await warm(near);
  const after = memory();
  const bytes = (after.heapUsed + after.external - heapUsed - external) / EVENTS;
  const counted = (near.counters.near?.bytes ?? 0) / EVENTS;
  const map = new Map<string, unknown>();
  const lru = new LRUCache<string, object>({ max: EVENTS });
  for (const event of near.getKept(ids) ?? []) {
    map.set(event.eventId, event);
    lru.set(event.eventId, event);
  }
  const rows: Row[] = [];
  for (const batch of BATCHES) {
    rows.push(
      await measure(
        "a bare Map",
        batch,
        lookups((batchIds) => hitsOf(batchIds, map)),
      ),
    );
    rows.push(
      await measure(
        "lru-cache alone",
        batch,
        lookups((batchIds) => hitsOf(batchIds, lru)),
      ),
    );
    rows.push(
      await measure(
        "near cache, getKept",
        batch,
        lookups((batchIds) => near.getKept(batchIds)?.length ?? 0),
      ),
    );
    rows.push(await measure("near cache, await getMany", batch, awaited(near)));
    rows.push(await measure("read stream, one at a time", batch, awaited(far), batch * 20));
  }
  for (const { what, batch, perSecond } of rows)
    console.log(
      `${what.padEnd(28)} batch ${String(batch).padStart(3)}  ${(perSecond / 1e6).toFixed(3)} M events/s`,
    );
  console.log(
    `memory an entry with a body of ${BODY_BYTES} bytes: ${Math.round(bytes)} bytes, counted ${Math.round(counted)}`,
  );
  await near.close();
  await far.close();
}

type Work = (batches: readonly string[][], from: number, calls: number) => number | Promise<number>;

/** Makes calls one after another; `lookUp` returns how many events it found. */
function lookups(lookUp: (ids: string[]) => number): Work {
  return (batches, from, calls) => {
    let events = 0;
    for (let call = from; call < from + calls; call += 1) events += lookUp(batches[call % batches.length]!);
    return events;
  };
}

function awaited(cache: SplitCache): Work {
  return async (batches, from, calls) => {
    let events = 0;
    for (let call = from; call < from + calls; call += 1)
      events += (await cache.getMany(batches[call % batches.length]!)).events.length;
    return events;
  };
}

function hitsOf(batchIds: readonly string[], events: { get(id: string): unknown }): number {
  const found: unknown[] = [];
  for (let index = 0; index < batchIds.length; index += 1) {
    const event = events.get(batchIds[index]!);
    if (event !== undefined) found.push(event);
  }
  return found.length;
}

async function fill(cache: SplitCache): Promise<void> {
  const asOf = await cache.position();
  const body = Buffer.from(JSON.stringify({ content: { body: "x".repeat(BODY_BYTES - 23) } }));
  const outcomes = await cache.put(
    ids.map((eventId, n) => ({ eventId, roomId: `!room${n % 100}`, roomVersion: "10", body })),
    asOf,
  );
  if (outcomes.some((outcome) => outcome !== "stored")) throw new Error("a put was refused");
}

/** Reads until all events are kept and may be used. */
async function warm(cache: SplitCache): Promise<void> {
  for (let tries = 0; cache.getKept(ids) === undefined; tries += 1) {
    if (tries === 100) throw new Error("the near cache does not become usable");
    for (let start = 0; start < EVENTS; start += 500) await cache.getMany(ids.slice(start, start + 500));
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function memory(): NodeJS.MemoryUsage {
  v8.setFlagsFromString("--expose-gc");
  const collect: () => void = vm.runInNewContext("gc");
  collect();
  collect();
  return process.memoryUsage();
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) await main();
