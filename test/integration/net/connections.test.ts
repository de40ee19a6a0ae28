import { once } from "node:events";
import { connect } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import type { EventCacheServiceClient } from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { eventually } from "../../support/eventually.js";
import {
  ask,
  closed,
  metric,
  openIdle,
  PREFACE,
  servers,
  sockets,
  start,
} from "../../support/server/idle-connections.js";

/** What an HTTP/1 server waits for the rest of. */
const HALF_REQUEST = Buffer.from("GET / HTTP/1.1\r\n");

const FEW_CALLS = { subscribersMax: 1, readStreamsMax: 1, callsInFlightMax: 4 };

/** What follows from these: 6 calls, and 840 connections more. */
const FEW_CALLS_CONNECTIONS = 846;

const clients: EventCacheServiceClient[] = [];

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const client of clients.splice(0)) client.close();
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

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
