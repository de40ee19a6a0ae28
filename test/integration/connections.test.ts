import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { parseMetrics } from "../../src/cli/io/metrics-text.js";
import type { Config } from "../../src/config/options.js";
import type { EventCacheServiceClient } from "../../src/gen/splitcache/v1/event_cache_service.js";
import { buildProgram, type Program, type RunningProgram } from "../support/build-program.js";
import { eventually } from "../support/eventually.js";
import { clientOf, startTestServer, type TestServer } from "../support/start-server.js";

/** An HTTP/2 preface with empty settings. */
const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", "latin1");
/** What an HTTP/1 server waits for the rest of. */
const HALF_REQUEST = Buffer.from("GET / HTTP/1.1\r\n");
const FEW_CALLS = { subscribersMax: 1, readStreamsMax: 1, callsInFlightMax: 4 };
/** What follows from these: 6 calls, and 840 connections more. */
const FEW_CALLS_CONNECTIONS = 846;

const servers: TestServer[] = [];
const sockets: Socket[] = [];
const clients: EventCacheServiceClient[] = [];

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const client of clients.splice(0)) client.close();
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

async function start(given: Partial<Config>): Promise<TestServer> {
  const server = await startTestServer(given);
  servers.push(server);
  return server;
}

/** Opens connections that carry no call; they may be refused or closed at any time. */
async function openIdle(
  address: string,
  count: number,
  { localAddress = "127.0.0.1", bytes = PREFACE } = {},
): Promise<Socket[]> {
  const [host = "", port] = address.split(":");
  const opened = Array.from({ length: count }, () => {
    const socket = connect({ host, port: Number(port), localAddress }).on("error", () => {});
    sockets.push(socket);
    socket.resume().write(bytes);
    return socket;
  });
  await Promise.all(opened.map((socket) => socket.connecting && once(socket, "connect")));
  return opened;
}

/** Resolves when it is closed, be it by a reset. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.closed) resolve();
    else socket.once("close", () => resolve());
  });
}

function ask(client: EventCacheServiceClient): Promise<void> {
  const eventIds: string[] = [];
  const request = { homeserver: "h", eventIds, redactionView: 0, minPosition: undefined } as const;
  return new Promise((resolve, reject) => {
    client.getEvents(request, (error) => (error ? reject(error) : resolve()));
  });
}

/** The value of a series whose labels are given in full. */
async function metric(httpUrl: string, name: string, labels: Record<string, string>): Promise<number> {
  const samples = parseMetrics(await (await fetch(`${httpUrl}/metrics`)).text());
  const sample = samples.find(
    (sample) =>
      sample.name === name && Object.entries(labels).every(([key, text]) => sample.labels.get(key) === text),
  );
  return sample?.value ?? Number.NaN;
}

describe("more idle connections than there is room for", () => {
  it("keep no new client out, and are reported", async () => {
    const server = await start(FEW_CALLS);
    await openIdle(server.address, FEW_CALLS_CONNECTIONS + 54);
    await ask(server.newClient());
    const listener = "grpc";
    expect(await metric(server.httpUrl, "splitcache_connections", { listener })).toBe(FEW_CALLS_CONNECTIONS);
    expect(await metric(server.httpUrl, "splitcache_connections_max", { listener })).toBe(
      FEW_CALLS_CONNECTIONS,
    );
    const closed = { listener, reason: "displaced" };
    expect(await metric(server.httpUrl, "splitcache_connections_closed_total", closed)).toBe(55);
    const lines = server.logLines.filter(({ msg }) => msg.startsWith("the connection limit is reached"));
    expect(lines).toMatchObject([{ level: "warn", listener, connectionsMax: 846, peer: "127.0.0.1" }]);
  });

  it("close no idle connection of another peer", async () => {
    const server = await start(FEW_CALLS);
    const quiet = await openIdle(server.address, 1, { localAddress: "127.0.0.2" });
    await openIdle(server.address, FEW_CALLS_CONNECTIONS + 54);
    await ask(server.newClient());
    expect(quiet.map(({ destroyed }) => destroyed)).toEqual([false]);
  });

  it("take no probe's place", async () => {
    const server = await start({});
    const opened = await openIdle(server.healthAddress, 100);
    await Promise.race(opened.map(closed));
    expect((await fetch(`http://${server.healthAddress}/readyz`)).status).toBe(200);
    const http = await openIdle(new URL(server.httpUrl).host, 100, { bytes: HALF_REQUEST });
    await Promise.race(http.map(closed));
    expect((await fetch(`${server.httpUrl}/readyz`)).status).toBe(200);
  });
});

it("ends a client's idle connection; its next call connects again", async () => {
  const server = await start({ connectionIdleTimeoutMs: 50 });
  const client = server.newClient();
  await ask(client);
  const idle = { listener: "grpc", reason: "idle" };
  await eventually(async () => {
    expect(await metric(server.httpUrl, "splitcache_connections_closed_total", idle)).toBe(1);
  });
  await ask(client);
});

it("never ends the connection of a subscription for being idle", async () => {
  const server = await start({ connectionIdleTimeoutMs: 50 });
  const stream = server.newClient().subscribe({ homeserver: "h", resumeAfter: undefined, subscriber: "" });
  let ended = false;
  stream.on("error", () => {
    ended = true;
  });
  await once(stream, "data");
  const [idle] = await openIdle(server.address, 1);
  await once(idle!, "close");
  // Progress still comes.
  await once(stream, "data");
  expect(ended).toBe(false);
  stream.cancel();
});

it.each([
  ["says nothing", Buffer.alloc(0)],
  ["has sent its preface", PREFACE],
])("stops at once while a peer without a call %s and does not answer", async (_, bytes) => {
  const server = await start({ shutdownTimeoutMs: 3_600_000 });
  const [host = "", port] = server.address.split(":");
  const socket = connect({ host, port: Number(port), allowHalfOpen: true }).on("error", () => {});
  sockets.push(socket);
  socket.write(bytes);
  await eventually(async () => {
    expect(await metric(server.httpUrl, "splitcache_connections", { listener: "grpc" })).toBe(1);
  });
  await server.drain();
  expect(server.logLines.at(-1)?.msg).toBe("stopped");
  expect(server.logLines.map(({ level }) => level)).not.toContain("warn");
});

it("answers metrics on loopback only to a Host of this machine", async () => {
  const server = await start({});
  const { hostname, port } = new URL(server.httpUrl);
  const request = async (host: string) => {
    const socket = connect(Number(port), hostname);
    sockets.push(socket);
    socket.end(`GET /metrics HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    let text = "";
    for await (const chunk of socket) text += chunk;
    return text;
  };
  expect(await request(`localhost:${port}`)).toMatch(/^HTTP\/1\.1 200 /);
  const refusal = await request(`rebound.example:${port}`);
  expect(refusal).toMatch(/^HTTP\/1\.1 421 /);
  expect(refusal).not.toContain("splitcache_");
});

it("answers one request of each connection to the metrics port, however many come at once", async () => {
  const server = await start({});
  const { hostname, port } = new URL(server.httpUrl);
  const socket = connect(Number(port), hostname);
  sockets.push(socket);
  socket.write(`GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n`.repeat(400));
  let text = "";
  for await (const chunk of socket) {
    text += chunk;
    if (text.match(/HTTP\/1\.1 /g)?.length === 400) break;
  }
  expect(text.match(/HTTP\/1\.1 200 /g)).toHaveLength(1);
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
    const process = program.start(["serve", ...ARGS], { openFilesMax: 100 });
    running.push(process);
    const { code, stderr } = await process.end;
    expect(code).toBe(1);
    expect(JSON.parse(stderr)).toMatchObject({
      level: "fatal",
      msg: "cannot listen on 127.0.0.1:0: the limit of open files is 100 and must be at least 208; raise it with ulimit -n",
    });
  });
});
