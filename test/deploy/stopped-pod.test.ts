import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import type { EventCacheServiceClient } from "../../src/gen/splitcache/v1/event_cache_service.js";
import { buildProgram, type Program, type RunningProgram } from "../support/program/build-program.js";
import { clientOf } from "../support/server/start-server.js";
import { read } from "../support/server/wire.js";

// What happens to the clients of a Service while Kubernetes stops one of its pods, with processes.

let program: Program;
const running: RunningProgram[] = [];
const cleanups: (() => unknown)[] = [];

beforeAll(async () => {
  program = await buildProgram();
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) cleanup();
  for (const sidecar of running) sidecar.kill("SIGKILL");
  await Promise.all(running.splice(0).map(({ end }) => end));
});
afterAll(() => program.remove());

interface Pod {
  readonly sidecar: RunningProgram;
  readonly port: number;
}

async function startPod(): Promise<Pod> {
  const sidecar = program.start(["serve", "--listen", "127.0.0.1:0", "--http", "off"]);
  running.push(sidecar);
  const { listen } = JSON.parse(await sidecar.logLine("splitcache serves")) as { listen: string[] };
  return { sidecar, port: Number(listen[0]?.split(":").at(-1)) };
}

/** The Service as a node forwards it: each new connection goes to the endpoint of the moment. */
async function startService(endpoint: () => Pod): Promise<Server> {
  const sockets = new Set<Socket>();
  const forward = (from: Socket, to: Socket) => {
    sockets.add(from);
    from.on("error", () => to.destroy()).on("close", () => to.destroy());
    from.pipe(to);
  };
  const server = createServer((near) => {
    const far = connect(endpoint().port, "127.0.0.1");
    forward(near, far);
    forward(far, near);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanups.push(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return server;
}

function call(client: EventCacheServiceClient): Promise<status> {
  return new Promise((resolve) => {
    const deadline = Date.now() + 5000;
    client.getEvents(read([]), new Metadata(), { deadline }, (error: ServiceError | null) =>
      resolve(error?.code ?? status.OK),
    );
  });
}

/** Calls without a pause until `until` has happened, and one call more; the status of each. */
async function callsUntil(client: EventCacheServiceClient, until: Promise<unknown>): Promise<status[]> {
  let isOver = false;
  void until.then(() => {
    isOver = true;
  });
  const codes: status[] = [];
  while (!isOver) codes.push(await call(client));
  return [...codes, await call(client)];
}

it("loses no call of a client if the pod is removed from the Service before it gets TERM", async () => {
  const [stopped, other] = [await startPod(), await startPod()];
  let endpoint = stopped;
  const address = (await startService(() => endpoint)).address();
  const client = clientOf(`127.0.0.1:${typeof address === "object" ? address?.port : ""}`);
  cleanups.push(() => client.close());
  expect(await call(client)).toBe(status.OK);

  // While preStop sleeps, the nodes remove the pod; it goes on serving the connections that it has.
  endpoint = other;
  expect(await call(client)).toBe(status.OK);
  stopped.sidecar.kill("SIGTERM");
  const codes = await callsUntil(client, stopped.sidecar.end);
  expect((await stopped.sidecar.end).code).toBe(0);
  expect(codes.filter((code) => code !== status.OK)).toEqual([]);
});
