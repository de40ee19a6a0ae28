import { once } from "node:events";
import { type ClientHttp2Session, connect as connectHttp2, constants } from "node:http2";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { Server as GrpcServer } from "@grpc/grpc-js";
import { service } from "grpc-health-check";
import { afterEach, beforeEach, expect, it } from "vitest";
import { ConnectionTable } from "../../../src/net/connection-table.js";
import { GrpcConnections, type GrpcConnectionTimes } from "../../../src/net/grpc-connections.js";
import { sessionsOf } from "../../../src/net/grpc-sessions.js";
import { eventually } from "../../support/eventually.js";

const LOOPBACK = { kind: "tcp", host: "127.0.0.1", port: 0 } as const;
const LONG_MS = 3_600_000;
/** An HTTP/2 preface with empty settings. */
const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", "latin1");
/** Calls of the health service's Watch, which the test's server leaves open. */
const WATCH = {
  ":path": "/grpc.health.v1.Health/Watch",
  ":method": "POST",
  "content-type": "application/grpc",
};

let grpc: GrpcServer;
let server: Server | undefined;
const clients: (Socket | ClientHttp2Session)[] = [];

beforeEach(() => {
  grpc = new GrpcServer();
  grpc.addService(service, { check: () => {}, watch: () => {}, list: () => {} });
});

afterEach(() => {
  for (const client of clients.splice(0)) client.destroy();
  grpc.forceShutdown();
  server?.close();
});

async function serve(times: Partial<GrpcConnectionTimes>, max = 100) {
  const table = new ConnectionTable({
    max,
    log: { displaced: () => {}, refused: () => {}, noDescriptor: () => {} },
    descriptors: { hasFree: () => true, lend: () => false },
    usesReserve: false,
  });
  const connections = new GrpcConnections(table, sessionsOf(grpc), {
    idleTimeoutMs: LONG_MS,
    prefaceTimeoutMs: LONG_MS,
    ...times,
  });
  server = createServer((socket) => connections.take(socket, LOOPBACK)).listen(0, "127.0.0.1");
  await once(server, "listening");
  return { connections, port: (server.address() as AddressInfo).port };
}

function silentClient(port: number, bytes: Buffer = PREFACE): Socket {
  // A refused connection may be reset while it writes.
  const socket = connect(port, "127.0.0.1")
    .on("error", () => {})
    .resume();
  socket.write(bytes);
  clients.push(socket);
  return socket;
}

/** A connection with one call that lasts until `end` is called. */
async function busyClient(port: number) {
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  clients.push(session);
  const stream = session.request(WATCH);
  stream.on("error", () => {});
  stream.write(Buffer.alloc(5));
  await once(session, "remoteSettings");
  // What is answered to a ping was sent after the call.
  await new Promise((resolve) => session.ping(resolve));
  return { session, end: () => stream.close(constants.NGHTTP2_CANCEL) };
}

it.each([
  ["nothing", Buffer.alloc(0)],
  ["half of a preface", PREFACE.subarray(0, 10)],
  ["a preface without settings", PREFACE.subarray(0, 24)],
])("closes a connection that has sent %s in time", async (_, bytes) => {
  const { connections, port } = await serve({ prefaceTimeoutMs: 30 });
  await once(silentClient(port, bytes), "close");
  await eventually(() => expect(connections.usage()).toMatchObject({ open: 0, closed: { silent: 1 } }));
});

it("ends a connection that carries no call, and keeps a connection with a call", async () => {
  const { connections, port } = await serve({ idleTimeoutMs: 200 });
  const busy = await busyClient(port);
  await once(silentClient(port), "close");
  await eventually(() => expect(connections.usage()).toMatchObject({ open: 1, closed: { idle: 1 } }));
  busy.end();
  await once(busy.session, "close");
  await eventually(() => expect(connections.usage()).toMatchObject({ open: 0, closed: { idle: 2 } }));
});

it("tells an idle client by GOAWAY without an error", async () => {
  const { port } = await serve({ idleTimeoutMs: 30 });
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  clients.push(session);
  const [code] = await once(session, "goaway");
  expect(code).toBe(constants.NGHTTP2_NO_ERROR);
  await once(session, "close");
});

it("cuts an idle peer that does not close its side", async () => {
  const { connections, port } = await serve({ idleTimeoutMs: 30 });
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  clients.push(socket);
  socket.write(PREFACE);
  // It reads nothing, so it does not even learn of the end.
  await eventually(() => expect(connections.usage()).toMatchObject({ open: 0, closed: { idle: 1 } }));
});

it("refuses a connection only while all others carry calls", async () => {
  const { connections, port } = await serve({}, 2);
  const first = await busyClient(port);
  await busyClient(port);
  await once(silentClient(port), "close");
  expect(connections.usage()).toMatchObject({ open: 2, closed: { refused: 1 } });
  const firstClosed = once(first.session, "close");
  first.end();
  await eventually(() => {
    silentClient(port);
    expect(connections.usage().closed.displaced).toBeGreaterThan(0);
  });
  await firstClosed;
});

it.each([
  ["says nothing", Buffer.alloc(0)],
  ["has sent its preface", PREFACE],
])("waits for no connection without calls that %s", async (_, bytes) => {
  const { connections, port } = await serve({});
  silentClient(port, bytes);
  await eventually(() => expect(connections.usage().open).toBe(1));
  expect(await connections.drain(LONG_MS)).toBe(0);
  expect(connections.usage()).toMatchObject({ open: 0, closed: { drained: 1 } });
});

it("waits for calls, and for no longer than the timeout", async () => {
  const { connections, port } = await serve({});
  await busyClient(port);
  expect(await connections.drain(30)).toBe(1);
});

it("ends each connection with its last call while it drains", async () => {
  const { connections, port } = await serve({});
  const busy = await busyClient(port);
  const drained = connections.drain(LONG_MS);
  busy.end();
  expect(await drained).toBe(0);
  expect(connections.usage()).toMatchObject({ open: 0, closed: { drained: 1 } });
});

it("throws if grpc-js keeps its HTTP/2 servers elsewhere", () => {
  const elsewhere = { createConnectionInjector: () => ({}) } as unknown as GrpcServer;
  expect(() => sessionsOf(elsewhere)).toThrow(/http2Servers/);
});
