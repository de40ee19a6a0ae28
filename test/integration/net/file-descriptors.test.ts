import { once } from "node:events";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { EventCacheServiceClient } from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { eventually } from "../../support/eventually.js";
import { buildProgram, type Program, type RunningProgram } from "../../support/program/build-program.js";
import { ask, closed, metric, openIdle, servers, sockets } from "../../support/server/idle-connections.js";
import { clientOf } from "../../support/server/start-server.js";

/** What an HTTP/1 server waits for the rest of. */
const HALF_REQUEST = Buffer.from("GET / HTTP/1.1\r\n");

const clients: EventCacheServiceClient[] = [];

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const client of clients.splice(0)) client.close();
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

describe("a process with few file descriptors", () => {
  let program: Program;
  const running: RunningProgram[] = [];

  // The compiler may be slow beside other tests.
  beforeAll(async () => {
    program = await buildProgram();
  }, 120_000);
  afterEach(async () => {
    for (const process of running) process.kill("SIGKILL");
    await Promise.all(running.splice(0).map(({ end }) => end));
  });
  afterAll(() => program.remove());

  const ARGS = ["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--health-listen", "127.0.0.1:0"];

  async function serve(openFilesMax: number, inheritedFiles = 0) {
    const process = program.start(["serve", ...ARGS], { openFilesMax, inheritedFiles });
    running.push(process);
    const line = JSON.parse(await process.logLine("splitcache serves"));
    return { process, address: line.listen[0], http: line.http, health: line.healthListen[0], line };
  }

  it("answers probes and scrapes while all connections that are left carry calls, and says why", async () => {
    const { process, address, http, health, line } = await serve(224);
    expect(line.connectionsMax).toBe(32);
    expect(await process.logLine("the limit of open files allows fewer")).toContain('"openFilesMax":224');
    const streams = Array.from({ length: 32 }, () => {
      const client = clientOf(address);
      clients.push(client);
      return client.subscribe({ homeserver: "h", resumeAfter: undefined, subscriber: "" });
    });
    for (const stream of streams) stream.on("error", () => {});
    await Promise.all(streams.map((stream) => once(stream, "data")));
    await Promise.all((await openIdle(address, 300)).map(closed));
    expect(await process.logLine("new connections are refused")).toContain('"connectionsMax":32');
    // The probe ports may be full as well.
    await openIdle(health, 100);
    await openIdle(http, 100, { bytes: HALF_REQUEST });
    for (const host of [health, http]) {
      const replies = await Promise.all(Array.from({ length: 8 }, () => fetch(`http://${host}/readyz`)));
      expect(replies.map(({ status }) => status)).toEqual(Array(8).fill(200));
    }
    const refused = { listener: "grpc", reason: "refused" };
    expect(await metric(`http://${http}`, "splitcache_connections_closed_total", refused)).toBe(300);
    for (const stream of streams) stream.cancel();
  });

  it("serves new clients while idle connections use up the rest", async () => {
    const { address } = await serve(224);
    await openIdle(address, 300);
    const client = clientOf(address);
    clients.push(client);
    await ask(client);
  });

  it("answers probes and scrapes while something else uses the descriptors up, and says why", async () => {
    // With all ports at their bounds these are 160, beside some 40 of the process.
    const { process, address, http, health } = await serve(224, 60);
    await openIdle(health, 100);
    await openIdle(http, 100, { bytes: HALF_REQUEST });
    await openIdle(address, 100);
    await process.logLine("all file descriptors are in use");
    for (const host of [health, http]) {
      const replies = await Promise.all(Array.from({ length: 8 }, () => fetch(`http://${host}/readyz`)));
      expect(replies.map(({ status }) => status)).toEqual(Array(8).fill(200));
    }
    for (const socket of sockets.splice(0)) socket.destroy();
    const client = clientOf(address);
    clients.push(client);
    await eventually(() => ask(client));
  });

  it("does not start with too few, and names the least limit", async () => {
    const process = program.start(["serve", ...ARGS], { openFilesMax: 160 });
    running.push(process);
    const { code, stderr } = await process.end;
    expect(code).toBe(1);
    expect(JSON.parse(stderr)).toMatchObject({
      level: "fatal",
      msg: "cannot listen on 127.0.0.1:0: the limit of open files is 160 and must be at least 208; raise it with ulimit -n",
    });
  });
});
