/** What one sidecar alone shows: its start, its memory when empty, PurgeRoom, and a near cache in the client. */
import { readFileSync } from "node:fs";
import type { EventCacheServiceClient } from "../../src/gen/splitcache/v1/event_cache_service.js";
import { ON_SERVER_CORE } from "../peers/servers.js";
import { startSidecar } from "../support/sidecar.js";
import { fill, positionOf, putEvents, syntheticEvent, syntheticEventId } from "../support/synthetic.js";
import { residentMib } from "./million.js";
import type { Plan } from "./plan.js";
import type { Single } from "./record.js";

const HOMESERVER = "alpha.example";
const QUIET = "quiet.example";
const ROOM = "!large:alpha.example";
const NEAR_EVENTS = 10_000;

export async function measureAlone(plan: Plan, node: string): Promise<Single[]> {
  const purgeSizes = [1000, plan.millionEvents];
  return [
    ...(await measureStart(plan.rounds, node)),
    ...(await measurePurge(purgeSizes, Math.min(3, plan.rounds), node)),
    ...(await measureNearCache(plan.rounds, node)),
  ];
}

async function measureStart(rounds: number, node: string): Promise<Single[]> {
  const [cpu, resident]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    const sidecar = await startSidecar([], { node, prefix: ON_SERVER_CORE });
    await positionOf(sidecar.client(), HOMESERVER);
    cpu.push(cpuMs(sidecar.pid));
    await new Promise((resolve) => setTimeout(resolve, 1000));
    resident.push(residentMib(sidecar.pid));
    await sidecar.stop();
  }
  return [
    { name: "start to first answer", unit: "ms of CPU", values: cpu },
    { name: "resident when empty", unit: "MiB", values: resident },
  ];
}

/** User and system time of a process, which Linux counts in hundredths of a second. */
function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** How long PurgeRoom takes, and how much longer the slowest read of another homeserver waits meanwhile. */
async function measurePurge(sizes: readonly number[], rounds: number, node: string): Promise<Single[]> {
  const singles: Single[] = [];
  const sidecar = await startSidecar(["--memory", "4GiB"], {
    node,
    prefix: ON_SERVER_CORE,
    nodeFlags: "--max-semi-space-size=2 --max-old-space-size=8192",
  });
  try {
    const [writer, reader] = [sidecar.client(), sidecar.client()];
    for (const size of sizes) {
      const [purges, waits]: [number[], number[]] = [[], []];
      for (let round = 0; round < rounds; round++) {
        await fillRoom(writer, size);
        const without = await slowestRead(reader, async () => {});
        const slowest = await slowestRead(reader, async () => {
          const start = performance.now();
          await purge(writer);
          purges.push(performance.now() - start);
        });
        waits.push(slowest - without);
      }
      const label = size === 1000 ? "1,000" : "many";
      singles.push({ name: `PurgeRoom of ${label} events`, unit: "ms", values: purges });
      singles.push({ name: `longer wait beside PurgeRoom of ${label} events`, unit: "ms", values: waits });
    }
  } finally {
    await sidecar.stop();
  }
  return singles;
}

async function fillRoom(client: EventCacheServiceClient, size: number): Promise<void> {
  const asOf = await positionOf(client, HOMESERVER);
  for (let from = 0; from < size; from += 500) {
    const events = Array.from({ length: Math.min(500, size - from) }, (_, at) => ({
      ...syntheticEvent(from + at, 300),
      roomId: ROOM,
    }));
    await putEvents(client, HOMESERVER, events, asOf);
  }
}

function purge(client: EventCacheServiceClient): Promise<void> {
  return new Promise((resolve, reject) => {
    client.purgeRoom({ homeserver: HOMESERVER, roomId: ROOM }, (error) =>
      error ? reject(error) : resolve(),
    );
  });
}

async function slowestRead(client: EventCacheServiceClient, work: () => Promise<void>): Promise<number> {
  const until = performance.now() + 3000;
  let slowest = 0;
  let worked: Promise<void> | undefined;
  while (performance.now() < until) {
    const start = performance.now();
    await positionOf(client, QUIET);
    slowest = Math.max(slowest, performance.now() - start);
    worked ??= work();
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await worked;
  return slowest;
}

/** The least that a lookup can cost: a Map in the client's process that follows Subscribe. */
async function measureNearCache(rounds: number, node: string): Promise<Single[]> {
  const sidecar = await startSidecar(["--memory", "64MiB"], { node, prefix: ON_SERVER_CORE });
  try {
    const client = sidecar.client();
    await fill(client, HOMESERVER, NEAR_EVENTS, 900);
    const near = new Map(
      Array.from({ length: NEAR_EVENTS }, (_, n) => [syntheticEventId(n), syntheticEvent(n, 900)]),
    );
    const stream = client.subscribe({ homeserver: HOMESERVER, resumeAfter: undefined, subscriber: "near" });
    stream.on("error", () => {});
    stream.on("data", ({ frame }) => {
      for (const { change } of frame?.$case === "batch" ? frame.value.notices : []) {
        if (change?.$case === "eventsInvalidated") for (const id of change.value.eventIds) near.delete(id);
      }
    });
    const singles = [1, 10, 100].map((ids) => ({
      name: `near cache, ${ids} IDs`,
      unit: "µs a lookup",
      values: Array.from({ length: rounds }, () => lookupMicroseconds(near, ids)),
    }));
    stream.cancel();
    return singles;
  } finally {
    await sidecar.stop();
  }
}

function lookupMicroseconds(near: ReadonlyMap<string, unknown>, count: number): number {
  const lookups = 20_000;
  const ids = [...near.keys()];
  let found = 0;
  const start = process.cpuUsage();
  for (let n = 0; n < lookups; n++) {
    for (let at = 0; at < count; at++) if (near.has(ids[(n * 997 + at * 31) % ids.length]!)) found++;
  }
  const { user, system } = process.cpuUsage(start);
  if (found !== lookups * count) throw new Error(`${found} hits of ${lookups * count}`);
  return (user + system) / lookups;
}
