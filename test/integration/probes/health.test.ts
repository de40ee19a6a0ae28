import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { connect, type Socket } from "node:net";
import { credentials, status } from "@grpc/grpc-js";
import { service as healthService } from "grpc-health-check";
import { afterEach, describe, expect, it } from "vitest";
import { parseMetrics } from "../../../src/cli/io/metrics-text.js";
import { EventCacheServiceClient } from "../../../src/gen/splitcache/v1/event_cache_service.js";
import {
  checkHealth,
  clientOf,
  clients,
  getEvents,
  SERVICE,
  start,
  stopAll,
} from "../../support/server/running-sidecar.js";
import { read } from "../../support/server/wire.js";

const sockets: Socket[] = [];

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await stopAll();
});

describe("grpc.health.v1", () => {
  it.each(["", SERVICE])("says that %j serves, on both ports", async (name) => {
    const server = await start();
    await expect(checkHealth(server.address, name)).resolves.toEqual({ status: "SERVING" });
    await expect(checkHealth(server.healthAddress, name)).resolves.toEqual({ status: "SERVING" });
  });

  it("does not know other services", async () => {
    const server = await start();
    await expect(checkHealth(server.address, "x")).rejects.toMatchObject({ code: status.NOT_FOUND });
  });

  it("tells a watch that the server drains, and ends it", async () => {
    const server = await start();
    const { path, requestSerialize, responseDeserialize } = healthService["Watch"]!;
    const watch = clientOf(server.address).makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      {
        service: SERVICE,
      },
    );
    const statuses: object[] = [];
    const end = once(watch, "error");
    watch.on("data", (reply: object) => statuses.push(reply));
    await once(watch, "data");
    await server.drain();
    expect(await end).toMatchObject([{ code: status.UNAVAILABLE }]);
    expect(statuses).toEqual([{ status: "SERVING" }, { status: "NOT_SERVING" }]);
  });
});

describe("the health listener", () => {
  it("answers HTTP probes on the port of grpc.health", async () => {
    const { healthAddress } = await start();
    for (const path of ["/livez", "/readyz"]) {
      const reply = await fetch(`http://${healthAddress}${path}`);
      expect([reply.status, await reply.text()]).toEqual([200, "ok\n"]);
    }
  });

  it("serves neither metrics nor events", async () => {
    const { healthAddress } = await start();
    expect((await fetch(`http://${healthAddress}/metrics`)).status).toBe(404);
    const client = new EventCacheServiceClient(healthAddress, credentials.createInsecure());
    clients.push(client);
    await expect(getEvents(client, "h", [])).rejects.toMatchObject({ code: status.UNIMPLEMENTED });
  });
});

describe("clients of the health listener", () => {
  it("opens few connections", async () => {
    const { healthAddress } = await start();
    const port = Number(healthAddress.split(":")[1]);
    const open = () => {
      const socket = connect(port, "127.0.0.1").resume();
      sockets.push(socket);
      return socket;
    };
    const oldest = open();
    await once(oldest, "connect");
    for (let count = 1; count < 64; count++) await once(open(), "connect");
    await once(open(), "connect");
    await once(oldest, "close");
    // Each is cut in time, as it says nothing; the oldest at once, to make room for one more.
    expect(sockets.filter(({ closed }) => closed)).toHaveLength(1);
  });

  it("opens few streams on each", async () => {
    const { healthAddress } = await start();
    const session = connectHttp2(`http://${healthAddress}`);
    const [settings] = await once(session, "remoteSettings");
    session.destroy();
    expect(settings).toMatchObject({ maxConcurrentStreams: 8 });
  });

  it("sends only small requests", async () => {
    const { healthAddress } = await start();
    const check = checkHealth(healthAddress, "x".repeat(5000));
    await expect(check).rejects.toMatchObject({ code: status.RESOURCE_EXHAUSTED });
  });
});

/** Asks for each event on a read stream, and waits until the stream has ended. */
async function askOnStream(client: EventCacheServiceClient, eventIds: readonly string[]): Promise<void> {
  const stream = client.getEventsStream();
  stream.resume();
  for (const [at, eventId] of eventIds.entries())
    stream.write({ requestId: BigInt(at), request: read([eventId], { homeserver: "hs.example" }) });
  stream.end();
  await once(stream, "end");
}

describe("/metrics", () => {
  it("counts hits, misses and calls, and labels none of them with an event or a room", async () => {
    const server = await start();
    await getEvents(server.newClient(), "hs.example", ["$absent", "$also-absent"]);
    await askOnStream(server.newClient(), ["$a", ""]);
    const reply = await fetch(`${server.httpUrl}/metrics`);
    expect(reply.headers.get("content-type")).toMatch(/^text\/plain; version=0\.0\.4/);
    const text = await reply.text();
    expect(text).not.toContain("$absent");
    const samples = parseMetrics(text);
    const sampleOf = (name: string, labels: Record<string, string>) =>
      samples.find(
        (sample) =>
          sample.name === name &&
          Object.entries(labels).every(([label, text]) => sample.labels.get(label) === text),
      )?.value;
    expect(sampleOf("splitcache_misses_total", { server_name: "hs.example", reason: "absent" })).toBe(3);
    expect(sampleOf("splitcache_memory_budget_bytes", {})).toBe(2 ** 28);
    expect(sampleOf("splitcache_build_info", { version: "0.0.0-test" })).toBe(1);
    const call = { grpc_type: "unary", grpc_service: SERVICE, grpc_method: "GetEvents" };
    expect(sampleOf("grpc_server_handled_total", { ...call, grpc_code: "OK" })).toBe(1);
    expect(sampleOf("grpc_server_handling_seconds_count", call)).toBe(1);
    const request = { grpc_type: "stream_request", grpc_service: SERVICE, grpc_method: "GetEventsStream" };
    expect(sampleOf("grpc_server_started_total", request)).toBe(2);
    expect(sampleOf("grpc_server_handled_total", { ...request, grpc_code: "OK" })).toBe(1);
    expect(sampleOf("grpc_server_handled_total", { ...request, grpc_code: "INVALID_ARGUMENT" })).toBe(1);
    expect(sampleOf("grpc_server_handling_seconds_count", request)).toBe(2);
  });
});
