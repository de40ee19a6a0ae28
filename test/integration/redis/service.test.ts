import { once } from "node:events";
import { status } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type {
  CachedEvent,
  EventCacheServiceClient,
  GetEventsStreamResponse,
  Position,
} from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { eventually } from "../../support/eventually.js";
import { hasRedisServer, RedisProcess } from "../../support/redis/processes.js";
import { startTestServer, type TestServer } from "../../support/start-server.js";

const HOMESERVER = "alpha.example";
const IDS = Array.from({ length: 40 }, (_, n) => `$${n}`);

describe.skipIf(!(await hasRedisServer()))("the service over Redis", () => {
  let redis: RedisProcess;
  let server: TestServer;
  beforeAll(async () => {
    redis = await RedisProcess.start();
    const nodes = [{ host: "127.0.0.1", port: redis.port }];
    const redisUrl = { topology: "single", nodes, primaryName: "", database: 0, tls: false } as const;
    server = await startTestServer({ store: "redis", redisUrl });
    await put(
      server.newClient(),
      IDS.map((id) => event(id, 100)),
    );
  });
  afterEach(() => redis.signal("SIGCONT"));
  afterAll(async () => {
    await server.stop();
    await redis.stop();
  });

  it("answers each of many requests of a read stream under its own number, then OK", async () => {
    const call = server.newClient().getEventsStream();
    const found = new Map<bigint, string[]>();
    call.on("data", ({ requestId, result }: GetEventsStreamResponse) => {
      if (result?.$case === "response")
        found.set(
          requestId,
          result.value.events.map(({ eventId }) => eventId),
        );
    });
    for (let n = 0; n < 200; n++) {
      call.write({ requestId: BigInt(n), request: request(IDS.slice(n % 40, (n % 40) + 3)) });
    }
    call.end();
    const [status] = await once(call, "status");
    expect(status.code).toBe(0);
    expect([...found].sort(([a], [b]) => Number(a - b))).toEqual(
      Array.from({ length: 200 }, (_, n) => [BigInt(n), IDS.slice(n % 40, (n % 40) + 3)]),
    );
  });

  it("gives a client that reads late the bytes that were looked up, however large", async () => {
    const client = server.newClient();
    const large = Array.from({ length: 24 }, (_, n) => event(`$large-${n}`, 200_000));
    for (const one of large) await put(client, [one]);
    const call = client.getEventsStream();
    for (const [n, { eventId }] of large.entries()) {
      call.write({ requestId: BigInt(n), request: request([eventId]) });
    }
    call.end();
    // Others are looked up meanwhile, and use the same memory.
    await read(client, IDS);
    const bodies = new Map<string, string>();
    call.on("data", ({ result }: GetEventsStreamResponse) => {
      if (result?.$case !== "response") throw new Error("a read failed");
      for (const { eventId, body } of result.value.events) bodies.set(eventId, body.toString());
    });
    await once(call, "status");
    for (const { eventId, body } of large) expect(bodies.get(eventId)).toBe(body.toString());
    expect(bodies.size).toBe(large.length);
  });

  it("leaves room for others while a client asks for much and reads nothing", async () => {
    const client = server.newClient();
    const large = Array.from({ length: 50 }, (_, n) => event(`$much-${n}`, 64_000));
    for (let at = 0; at < large.length; at += 10) await put(client, large.slice(at, at + 10));
    const ids = large.map(({ eventId }) => eventId);
    await read(client, ids);
    const call = client.getEventsStream();
    // Each a reply of three megabytes and more: all of them would be three times what may be in flight.
    for (let n = 0; n < 64; n++) call.write({ requestId: BigInt(n), request: request(ids) });
    for (let n = 0; n < 20; n++) expect(await read(server.newClient(), IDS)).toEqual(IDS);
    let replies = 0;
    call.on("data", ({ result }: GetEventsStreamResponse) => {
      if (result?.$case === "response") replies += result.value.events.length;
    });
    call.end();
    const [status] = await once(call, "status");
    expect(status.code).toBe(0);
    expect(replies).toBe(64 * ids.length);
  });

  it("relies on no primary without replicas that Sentinels name, unless it is told to", async () => {
    const config = () => `sentinel monitor primary 127.0.0.1 ${redis.port} 1`;
    const sentinel = await RedisProcess.start([], { sentinel: true, config });
    const nodes = [{ host: "127.0.0.1", port: sentinel.port }];
    const redisUrl = {
      topology: "sentinel",
      nodes,
      primaryName: "primary",
      database: 0,
      tls: false,
    } as const;
    const careful = await startTestServer({ store: "redis", redisUrl });
    const told = await startTestServer({ store: "redis", redisUrl, redisReplicasMin: 0 });
    try {
      await expect(read(careful.newClient(), [])).rejects.toMatchObject({ code: status.UNAVAILABLE });
      expect(await read(told.newClient(), IDS)).toEqual(IDS);
    } finally {
      await careful.stop();
      await told.stop();
      await sentinel.stop();
    }
  });

  it("stays ready while Redis stands still, and says that it misses for that", async () => {
    const client = server.newClient();
    const call = client.getEventsStream();
    const answers: number[] = [];
    call.on("data", ({ result }: GetEventsStreamResponse) => {
      answers.push(result?.$case === "response" ? result.value.missingEventIds.length : -1);
    });
    redis.signal("SIGSTOP");
    for (let n = 0; n < 16; n++) call.write({ requestId: BigInt(n), request: request(["$0"]) });
    // Side by side: one after the other, each to its time limit, they would take longer than is waited here.
    await eventually(() => expect(answers).toEqual(Array.from({ length: 16 }, () => 1)));
    expect((await fetch(`${server.httpUrl}/readyz`)).status).toBe(200);
    const metrics = await (await fetch(`${server.httpUrl}/metrics`)).text();
    expect(metrics).toContain("splitcache_store_well 0");
    expect(metrics).toMatch(/splitcache_store_troubles_total\{kind="timeout"\} [1-9]/);
    redis.signal("SIGCONT");
    await eventually(async () => expect(await read(client, ["$0"])).toEqual(["$0"]));
    expect(await (await fetch(`${server.httpUrl}/metrics`)).text()).toContain("splitcache_store_well 1");
    call.end();
    await once(call, "status");
  });
});

function request(eventIds: string[]) {
  return { homeserver: HOMESERVER, eventIds, redactionView: 0 as const, minPosition: undefined };
}

function event(eventId: string, bytes: number): CachedEvent {
  return {
    eventId,
    roomId: "!room:alpha.example",
    roomVersion: "10",
    body: Buffer.from(eventId.padEnd(bytes, ".")),
    rejected: false,
    rejectedReason: "",
    redaction: undefined,
    internalMetadata: Buffer.alloc(0),
  };
}

async function put(client: EventCacheServiceClient, events: CachedEvent[]): Promise<void> {
  const asOf = await new Promise<Position>((resolve, reject) => {
    client.getEvents(request([]), (error, reply) => (error ? reject(error) : resolve(reply.position!)));
  });
  await new Promise<void>((resolve, reject) => {
    client.putEvents({ homeserver: HOMESERVER, events, asOf }, (error) =>
      error ? reject(error) : resolve(),
    );
  });
}

function read(client: EventCacheServiceClient, eventIds: string[]): Promise<string[]> {
  return new Promise((resolve, reject) => {
    client.getEvents(request(eventIds), (error, reply) =>
      error ? reject(error) : resolve(reply.events.map((one) => one.eventId)),
    );
  });
}
