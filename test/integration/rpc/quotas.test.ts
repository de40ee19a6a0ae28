import { type ServiceError, status } from "@grpc/grpc-js";
import { afterEach, describe, expect, it } from "vitest";
import type { Config } from "../../../src/config/options.js";
import type { QuotaSetting } from "../../../src/core/model/quotas.js";
import * as wire from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { eventually } from "../../support/eventually.js";
import { call, describeError, failureOf } from "../../support/server/calls.js";
import { startTestServer, type TestServer } from "../../support/server/start-server.js";
import { cachedEvent } from "../../support/server/wire.js";

const MIB = 2 ** 20;
const QUIET = "quiet.example";
const FLOOD = "flood.example";
const EVENTS = 1000;

type Client = wire.EventCacheServiceClient;

const servers: TestServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop();
});

async function start(given: Partial<Config> = {}): Promise<TestServer> {
  const server = await startTestServer({ memoryBytes: 32 * MIB, ...given });
  servers.push(server);
  return server;
}

const body = Buffer.alloc(2000, "x");
const idsOf = (name: string, from: number, count: number) =>
  Array.from({ length: count }, (_, at) => `$${name}-${from + at}`);

async function positionOf(client: Client, homeserver: string): Promise<wire.Position> {
  const request = wire.GetEventsRequest.create({ homeserver });
  return (await call(client, client.getEvents, request)).position!;
}

async function put(client: Client, homeserver: string, ids: readonly string[]): Promise<void> {
  const events = ids.map((id) => cachedEvent(id, { body }));
  await call(client, client.putEvents, { homeserver, events, asOf: await positionOf(client, homeserver) });
}

/** The share of the quiet homeserver's events that are hits. */
async function hitRate(client: Client): Promise<number> {
  let hits = 0;
  for (let from = 0; from < EVENTS; from += 500) {
    const request = wire.GetEventsRequest.create({
      homeserver: QUIET,
      eventIds: idsOf(QUIET, from, 500),
      redactionView: wire.RedactionView.ORIGINAL,
    });
    const { events, truncatedEventIds } = await call(client, client.getEvents, request);
    hits += events.length + truncatedEventIds.length;
  }
  return hits / EVENTS;
}

async function fillQuiet(client: Client): Promise<void> {
  for (let from = 0; from < EVENTS; from += 500) await put(client, QUIET, idsOf(QUIET, from, 500));
}

/** Acts on four connections at once, each again and again. */
async function flood(
  server: TestServer,
  times: number,
  act: (client: Client, n: number) => Promise<unknown>,
): Promise<void> {
  const connections = Array.from({ length: 4 }, () => server.newClient());
  await Promise.all(
    connections.map(async (client, at) => {
      for (let n = 0; n < times; n++) await act(client, at * times + n);
    }),
  );
}

async function metricsOf(server: TestServer): Promise<string> {
  return (await fetch(`${server.httpUrl}/metrics`)).text();
}

const quota = (homeserver: string, limit: QuotaSetting["limit"], value: number): QuotaSetting => ({
  homeserver,
  limit,
  value,
});

describe("a quiet homeserver", () => {
  it("keeps its events while another puts three times the budget", async () => {
    const server = await start();
    const quiet = server.newClient();
    await fillQuiet(quiet);
    expect(await hitRate(quiet)).toBe(1);
    await flood(server, 50, (client, n) => put(client, FLOOD, idsOf(FLOOD, n * 200, 200)));
    expect(await hitRate(quiet)).toBeGreaterThanOrEqual(0.95);
    expect(await metricsOf(server)).toMatch(/splitcache_evictions_total\{cache="events"\} [1-9]/);
  });

  it("keeps its events although the flooding one put the same events first", async () => {
    const server = await start();
    const quiet = server.newClient();
    for (let from = 0; from < EVENTS; from += 500) await put(quiet, FLOOD, idsOf(QUIET, from, 500));
    await fillQuiet(quiet);
    await flood(server, 50, (client, n) => put(client, FLOOD, idsOf(FLOOD, n * 200, 200)));
    expect(await hitRate(quiet)).toBeGreaterThanOrEqual(0.95);
  });

  it("keeps its events while another puts and purges all the time", async () => {
    const server = await start();
    const quiet = server.newClient();
    await fillQuiet(quiet);
    await flood(server, 50, async (client, n) => {
      await put(client, FLOOD, idsOf(FLOOD, n * 200, 200));
      await call(client, client.purgeHomeserver, { homeserver: FLOOD, newEpoch: false });
    });
    expect(await hitRate(quiet)).toBeGreaterThanOrEqual(0.95);
  });

  it("is served while the readers of another read nothing", async () => {
    const server = await start();
    const quiet = server.newClient();
    await fillQuiet(quiet);
    const ids = idsOf(FLOOD, 0, 500);
    await put(quiet, FLOOD, ids);
    for (let n = 0; n < 4; n++) {
      const stream = server.newClient().getEventsStream();
      stream.on("error", () => {});
      const request = wire.GetEventsRequest.create({ homeserver: FLOOD, eventIds: ids });
      for (let id = 1n; id <= 200n; id++) stream.write({ requestId: id, request });
    }
    expect(await hitRate(quiet)).toBe(1);
    await put(quiet, QUIET, idsOf("more", 0, 10));
  });
});

/** Opens streams of one homeserver, each on a connection of its own; returns the failures as they come. */
function openMany(
  server: TestServer,
  count: number,
  open: (client: Client) => { on(event: "error", listener: (error: ServiceError) => void): unknown },
) {
  const failures: ReturnType<typeof describeError>[] = [];
  for (let n = 0; n < count; n++) {
    open(server.newClient()).on("error", (error) => failures.push(describeError(error)));
  }
  return failures;
}

const subscribe = (homeserver: string) => (client: Client) =>
  client.subscribe(wire.SubscribeRequest.create({ homeserver })).on("data", () => {});

const openStream = (homeserver: string) => (client: Client) => {
  const stream = client.getEventsStream().on("data", () => {});
  stream.write({ requestId: 1n, request: wire.GetEventsRequest.create({ homeserver }) });
  return stream;
};

describe("quotas", () => {
  it.each([
    ["subscribers", "subscribersMax", subscribe, "subscribers"],
    ["read streams", "readStreamsMax", openStream, "read_streams"],
  ] as const)(
    "limit the %s of one homeserver, and leave the rest to others",
    async (what, limit, open, label) => {
      const server = await start({ quotas: [quota(FLOOD, limit, 2)] });
      const client = server.newClient();
      await positionOf(client, FLOOD);
      const refused = openMany(server, 5, open(FLOOD));
      await eventually(() => expect(refused).toHaveLength(3));
      expect(refused[0]).toMatchObject({
        code: status.RESOURCE_EXHAUSTED,
        canRetry: true,
        message: `too many ${what} of this homeserver; try again later`,
      });
      const others = openMany(server, 5, open(QUIET));
      await positionOf(client, QUIET);
      expect(others).toEqual([]);
      expect(await metricsOf(server)).toContain(
        `splitcache_quota_refusals_total{server_name="${FLOOD}",quota="${label}"} 3`,
      );
    },
  );

  it.each([
    ["subscribers", { subscribersMax: 8 }, subscribe],
    ["read streams", { readStreamsMax: 8 }, openStream],
  ] as const)("are a quarter of the %s while several homeservers are active", async (_, limits, open) => {
    const server = await start(limits);
    const client = server.newClient();
    await positionOf(client, QUIET);
    await positionOf(client, FLOOD);
    const refused = openMany(server, 5, open(FLOOD));
    await eventually(() => expect(refused).toHaveLength(3));
    const others = openMany(server, 2, open(QUIET));
    await positionOf(client, QUIET);
    expect(others).toEqual([]);
  });

  it("give the place back when a stream ends", async () => {
    const server = await start({ quotas: [quota(FLOOD, "subscribersMax", 1)] });
    const client = server.newClient();
    for (let n = 0; n < 3; n++) {
      const subscriber = client.subscribe(wire.SubscribeRequest.create({ homeserver: FLOOD }));
      subscriber.on("error", () => {});
      await new Promise((resolve) => subscriber.once("data", resolve));
      const closed = new Promise((resolve) => subscriber.once("close", resolve));
      subscriber.cancel();
      await closed;
      await eventually(async () => {
        expect(await metricsOf(server)).toContain(`splitcache_subscribers{server_name="${FLOOD}"} 0`);
      });
    }
  });

  it("refuse changes beyond the rate with the time to retry, and do nothing of them", async () => {
    const server = await start({ quotas: [quota(FLOOD, "changesPerSecond", 1)] });
    const client = server.newClient();
    await put(client, FLOOD, ["$a"]);
    const invalidate = (homeserver: string) =>
      call(client, client.invalidateEvents, { homeserver, roomId: "", eventIds: ["$b"] });
    const { position } = await invalidate(FLOOD);
    const refused = await failureOf(
      call(client, client.purgeHomeserver, { homeserver: FLOOD, newEpoch: true }),
    );
    expect(refused).toMatchObject({ code: status.RESOURCE_EXHAUSTED, canRetry: true });
    expect(refused.message).toContain("1 a second");
    expect(await positionOf(client, FLOOD)).toEqual(position);
    for (let n = 0; n < 20; n++) await invalidate(QUIET);
  });

  it("show their use, the share and the refusals for each homeserver", async () => {
    const server = await start({ quotas: [quota(QUIET, "memoryMin", 16 * MIB)] });
    const client = server.newClient();
    await put(client, QUIET, ["$a"]);
    await put(client, FLOOD, ["$b"]);
    const metrics = await metricsOf(server);
    const sampleOf = (name: string, homeserver: string) =>
      Number(new RegExp(`${name}\\{server_name="${homeserver}"\\} (\\d+)`).exec(metrics)?.[1]);
    expect(sampleOf("splitcache_homeserver_memory_bytes", QUIET)).toBeGreaterThan(2000);
    const [promised, rest] = [QUIET, FLOOD].map((name) =>
      sampleOf("splitcache_homeserver_memory_share_bytes", name),
    );
    expect(promised).toBeGreaterThan(10 * MIB);
    expect(rest).toBe(promised);
  });
});
