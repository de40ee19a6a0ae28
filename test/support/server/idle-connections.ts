import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { parseMetrics } from "../../../src/cli/io/metrics-text.js";
import type { Config } from "../../../src/config/options.js";
import type { EventCacheServiceClient } from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { startTestServer, type TestServer } from "./start-server.js";

/** An HTTP/2 preface with empty settings. */
export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", "latin1");

export const servers: TestServer[] = [];

export const sockets: Socket[] = [];

export async function start(given: Partial<Config>): Promise<TestServer> {
  const server = await startTestServer(given);
  servers.push(server);
  return server;
}

/** Opens connections that carry no call; they may be refused or closed at any time. */
export async function openIdle(
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
export function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.closed) resolve();
    else socket.once("close", () => resolve());
  });
}

export function ask(client: EventCacheServiceClient): Promise<void> {
  const eventIds: string[] = [];
  const request = { homeserver: "h", eventIds, redactionView: 0, minPosition: undefined } as const;
  return new Promise((resolve, reject) => {
    client.getEvents(request, (error) => (error ? reject(error) : resolve()));
  });
}

/** The value of a series whose labels are given in full. */
export async function metric(httpUrl: string, name: string, labels: Record<string, string>): Promise<number> {
  const samples = parseMetrics(await (await fetch(`${httpUrl}/metrics`)).text());
  const sample = samples.find(
    (sample) =>
      sample.name === name && Object.entries(labels).every(([key, text]) => sample.labels.get(key) === text),
  );
  return sample?.value ?? Number.NaN;
}
