import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import type { EventCacheServiceClient, Position } from "../../src/gen/splitcache/v1/event_cache_service.js";
import { eventually } from "../support/eventually.js";
import { buildProgram, type Program, type RunningProgram } from "../support/program/build-program.js";
import { freePort } from "../support/program/free-port.js";
import { clientOf } from "../support/server/start-server.js";
import { cachedEvent, HOMESERVER, put, read } from "../support/server/wire.js";

// What Kubernetes does to a pod with a native sidecar and a homeserver, with processes.

const GRACE_PERIOD_MS = 30_000;
const FROZEN_CALLS = 10;
const CRASHES = 5;

let program: Program;
let folder: string;
let health: string;
let http: string;
let address: string;
const running: RunningProgram[] = [];
const clients: EventCacheServiceClient[] = [];

beforeAll(async () => {
  program = await buildProgram();
});
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sc-"));
  // Like the pod's socket, it stays where a container was killed.
  address = `unix:${join(folder, "s")}`;
  health = `127.0.0.1:${await freePort()}`;
  http = `127.0.0.1:${await freePort()}`;
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  for (const sidecar of running) sidecar.kill("SIGKILL");
  await Promise.all(running.splice(0).map(({ end }) => end));
  await rm(folder, { recursive: true });
});
afterAll(() => program.remove());

function startSidecar(): RunningProgram {
  const sidecar = program.start(["serve", "--listen", address, "--http", http, "--health-listen", health]);
  running.push(sidecar);
  return sidecar;
}

/** A worker of the homeserver: a connection that is tried again soon after it broke. */
function startWorker(): EventCacheServiceClient {
  const client = clientOf(address, {
    "grpc.initial_reconnect_backoff_ms": 50,
    "grpc.min_reconnect_backoff_ms": 50,
    "grpc.max_reconnect_backoff_ms": 50,
  });
  clients.push(client);
  return client;
}

/** What a probe sees: the status, or 0 without an answer. */
async function probe(path: string): Promise<number> {
  return fetch(`http://${health}${path}`).then(
    (reply) => reply.status,
    () => 0,
  );
}

/** A read as a worker makes it: with a deadline, and a miss whatever fails. */
function readEvents(worker: EventCacheServiceClient, ...eventIds: string[]) {
  return new Promise<{ code: status; found: string[]; position: Position | undefined }>((resolve) => {
    const deadline = Date.now() + 1000;
    worker.getEvents(read(eventIds), new Metadata(), { deadline }, (error: ServiceError | null, reply) =>
      resolve({
        code: error?.code ?? status.OK,
        found: reply?.events.map(({ eventId }) => eventId) ?? [],
        position: reply?.position,
      }),
    );
  });
}

/** Puts an event once the sidecar answers. */
async function fill(worker: EventCacheServiceClient, eventId: string): Promise<void> {
  await eventually(async () => {
    const { position } = await readEvents(worker);
    expect(position).toBeDefined();
    await new Promise<void>((resolve, reject) => {
      worker.putEvents(put([cachedEvent(eventId)], position), (error) => (error ? reject(error) : resolve()));
    });
    expect((await readEvents(worker, eventId)).found).toEqual([eventId]);
  });
}

it("fails its start-up probe until it takes calls", async () => {
  expect(await probe("/readyz")).toBe(0);
  startSidecar();
  await eventually(async () => expect(await probe("/readyz")).toBe(200));
  expect((await readEvents(startWorker())).code).toBe(status.OK);
});

it("ends at TERM within the grace period while streams are open", async () => {
  const sidecar = startSidecar();
  const worker = startWorker();
  await fill(worker, "$a");
  const frames: string[] = [];
  const subscription = worker.subscribe({ homeserver: HOMESERVER, resumeAfter: undefined, subscriber: "" });
  const ended = once(subscription, "error");
  subscription.on("data", ({ frame }: { frame?: { $case: string } }) => frames.push(frame?.$case ?? ""));
  const stream = worker.getEventsStream();
  const streamEnded = once(stream.resume(), "error");
  stream.write({ requestId: 1n, request: read(["$a"]) });
  await eventually(() => expect(frames).toHaveLength(1));
  const terminated = Date.now();
  sidecar.kill("SIGTERM");
  expect((await sidecar.end).code).toBe(0);
  expect(Date.now() - terminated).toBeLessThan(GRACE_PERIOD_MS);
  expect(frames.at(-1)).toBe("goingAway");
  expect(await ended).toMatchObject([{ code: status.UNAVAILABLE }]);
  await streamEnded;
});

it("serves a worker that started before it, and lets it end after it", async () => {
  const worker = startWorker();
  expect(await readEvents(worker, "$a")).toMatchObject({ code: status.UNAVAILABLE, found: [] });
  const sidecar = startSidecar();
  await fill(worker, "$a");
  sidecar.kill("SIGTERM");
  await sidecar.end;
  expect(await readEvents(worker, "$a")).toMatchObject({ code: status.UNAVAILABLE, found: [] });
});

it("serves nothing from before its crash, however often it crashes", async () => {
  const worker = startWorker();
  const epochs = new Set<string>();
  for (let crash = 0; crash < CRASHES; crash += 1) {
    const sidecar = startSidecar();
    await eventually(async () =>
      expect(await readEvents(worker, "$a")).toMatchObject({ code: status.OK, found: [] }),
    );
    await fill(worker, "$a");
    epochs.add((await readEvents(worker)).position?.epoch.toString("hex") ?? "");
    sidecar.kill("SIGKILL");
    await sidecar.end;
    expect((await readEvents(worker, "$a")).found).toEqual([]);
  }
  expect(epochs.size).toBe(CRASHES);
});

it("keeps nothing of workers that crash again and again", async () => {
  startSidecar();
  const observer = startWorker();
  await fill(observer, "$a");
  for (let crash = 0; crash < CRASHES; crash += 1) {
    const worker = program.start(["watch", "--address", address, "-H", HOMESERVER, "-o", "json"]);
    running.push(worker);
    await eventually(async () => expect(await subscribers()).toBe(1));
    worker.kill("SIGKILL");
    await worker.end;
    await eventually(async () => expect(await subscribers()).toBe(0));
  }
  expect((await readEvents(observer, "$a")).found).toEqual(["$a"]);
});

it("answers again after its node froze for ten seconds", async () => {
  const sidecar = startSidecar();
  const worker = startWorker();
  await fill(worker, "$a");
  sidecar.kill("SIGSTOP");
  for (let frozen = 0; frozen < FROZEN_CALLS; frozen += 1) {
    // Each call waits for its deadline of a second.
    expect(await readEvents(worker, "$a")).toMatchObject({ code: status.DEADLINE_EXCEEDED });
  }
  sidecar.kill("SIGCONT");
  await eventually(async () => expect(await readEvents(worker, "$a")).toMatchObject({ found: ["$a"] }));
  expect(await probe("/livez")).toBe(200);
});

/** The subscribers that the sidecar counts. */
async function subscribers(): Promise<number> {
  const metrics = await (await fetch(`http://${http}/metrics`)).text();
  const counts = [...metrics.matchAll(/^splitcache_subscribers\{.*\} (\d+)$/gm)];
  return counts.reduce((sum, [, count]) => sum + Number(count), 0);
}
