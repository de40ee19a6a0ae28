/**
 * PurgeRoom of a small and of a large room: how long it takes, and how long a
 * small read waits meanwhile and while the sweep removes what the purge left.
 */
import type { EventCacheServiceClient } from "../src/gen/splitcache/v1/event_cache_service.js";
import { percentile, printMachine, printTable } from "./support/report.js";
import { startSidecar } from "./support/sidecar.js";
import { positionOf, putEvents, syntheticEvent } from "./support/synthetic.js";

const ROOM_SIZES = [1000, 1_000_000];
const HOMESERVER = "alpha.example";
const ROUNDS = Number(process.env["BENCH_ROUNDS"] ?? 3);
const node = process.env["BENCH_NODE"] ?? process.execPath;
/** A pass of the sweep begins every 20 s; this covers it whole. */
const WATCHED_MS = 25_000;

printMachine();
const rows: (string | number)[][] = [
  ["events in the room", "PurgeRoom ms", "reads", "read p50 ms", "p99 ms", "longest ms"],
];
const sidecar = await startSidecar(["--memory", "2GiB"], { node });
try {
  const writer = sidecar.client();
  const reader = sidecar.client();
  for (const size of ROOM_SIZES) {
    const purges: number[] = [];
    let reads: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      await fillRoom(writer, size);
      const quiet = await watchReads(reader, async () => {
        const start = performance.now();
        await purge(writer);
        purges.push(performance.now() - start);
      });
      reads = reads.concat(quiet);
    }
    rows.push([
      size,
      percentile(purges, 0.5).toFixed(2),
      reads.length,
      percentile(reads, 0.5).toFixed(2),
      percentile(reads, 0.99).toFixed(2),
      Math.max(...reads).toFixed(2),
    ]);
  }
} finally {
  await sidecar.stop();
}
printTable(rows);

async function fillRoom(client: EventCacheServiceClient, size: number): Promise<void> {
  const asOf = await positionOf(client, HOMESERVER);
  for (let from = 0; from < size; from += 500) {
    const events = Array.from({ length: Math.min(500, size - from) }, (_, at) => ({
      ...syntheticEvent(from + at, 300),
      roomId: "!large:alpha.example",
    }));
    await putEvents(client, HOMESERVER, events, asOf);
  }
}

function purge(client: EventCacheServiceClient): Promise<void> {
  return new Promise((resolve, reject) => {
    client.purgeRoom({ homeserver: HOMESERVER, roomId: "!large:alpha.example" }, (error) =>
      error ? reject(error) : resolve(),
    );
  });
}

/** How long reads took from before the work until after the sweep, one after another. */
async function watchReads(client: EventCacheServiceClient, work: () => Promise<void>): Promise<number[]> {
  const times: number[] = [];
  const until = performance.now() + WATCHED_MS;
  let worked: Promise<void> | undefined;
  while (performance.now() < until) {
    const start = performance.now();
    await positionOf(client, HOMESERVER);
    times.push(performance.now() - start);
    worked ??= work();
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await worked;
  return times;
}
