import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ClientReadableStream, credentials, type ServiceError, status } from "@grpc/grpc-js";
import { afterEach, describe, expect, it } from "vitest";
import type { Config } from "../../src/config/options.js";
import {
  type AdminServiceClient,
  LogLevel,
  SubscriberState,
} from "../../src/gen/splitcache/admin/v1/admin_service.js";
import {
  EventCacheServiceClient,
  GetEventsRequest,
  type SubscribeResponse,
} from "../../src/gen/splitcache/v1/event_cache_service.js";
import { adminClientOf, callUnary } from "../support/admin-client.js";
import { eventually } from "../support/eventually.js";
import { runCli } from "../support/run-cli.js";
import { startTestServer, type TestServer } from "../support/start-server.js";

const servers: TestServer[] = [];
const clients: { close(): void }[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

async function start(given: Partial<Config> = {}) {
  const server = await startTestServer(given);
  servers.push(server);
  const admin = adminClientOf(server.adminAddress);
  clients.push(admin);
  return { server, admin, client: server.newClient() };
}

const FIRST_PAGE = { pageSize: 0, pageToken: "" };
const ALL = { ...FIRST_PAGE, homeserver: "" };

async function positionOf(client: EventCacheServiceClient, homeserver: string) {
  const request = GetEventsRequest.create({ homeserver });
  return (await callUnary(client, client.getEvents, request)).position;
}

async function putAndRead(client: EventCacheServiceClient, homeserver: string, body: Buffer): Promise<void> {
  const event = {
    eventId: "$one",
    roomId: "!room",
    roomVersion: "10",
    body,
    rejected: false,
    rejectedReason: "",
    redaction: undefined,
    internalMetadata: Buffer.alloc(0),
  };
  const asOf = await positionOf(client, homeserver);
  await callUnary(client, client.putEvent, { homeserver, event, asOf });
  const eventIds = ["$one", "$absent"];
  await callUnary(client, client.getEvents, {
    homeserver,
    eventIds,
    redactionView: 0,
    minPosition: undefined,
  });
}

function invalidate(client: EventCacheServiceClient, homeserver: string, eventId = "$one") {
  return callUnary(client, client.invalidateEvents, { homeserver, roomId: "", eventIds: [eventId] });
}

/** A subscription whose first frame has come. */
async function subscribe(client: EventCacheServiceClient, homeserver: string, subscriber: string) {
  const stream = client.subscribe({ homeserver, subscriber, resumeAfter: undefined });
  const frames: string[] = [];
  stream.on("data", ({ frame }: SubscribeResponse) => frames.push(frame?.$case ?? "none"));
  const failed = new Promise<ServiceError>((resolve) => stream.once("error", resolve));
  await eventually(() => expect(frames).toContain("ready"));
  return { stream, frames, failed };
}

/** Reads pages of one until there are no more. */
async function pagesOfOne<Item>(
  read: (pageToken: string) => Promise<{ items: Item[]; nextPageToken: string }>,
) {
  const pages: Item[][] = [];
  let pageToken = "";
  do {
    const { items, nextPageToken } = await read(pageToken);
    pages.push(items);
    pageToken = nextPageToken;
  } while (pageToken !== "");
  return pages;
}

describe("homeservers", () => {
  it("shows what the sidecar holds of each and has done for it", async () => {
    const { admin, client } = await start();
    await putAndRead(client, "alpha.example", Buffer.alloc(5000, "x"));
    await invalidate(client, "alpha.example", "$other");
    const position = await positionOf(client, "alpha.example");
    const { homeservers } = await callUnary(admin, admin.listHomeservers, ALL);
    expect(homeservers).toEqual([
      {
        name: "alpha.example",
        position,
        entries: 1n,
        bytes: expect.any(BigInt),
        hits: 1n,
        misses: { absent: 1n, orphaned: 0n, expired: 0n, unverified: 0n, behind: 0n, unredactable: 0n },
        changes: { redacted: 0n, rejected: 0n, invalidated: 1n, roomPurged: 0n, homeserverPurged: 0n },
        subscribers: 0,
        logChanges: 1,
      },
    ]);
    expect(Number(homeservers[0]?.bytes)).toBeGreaterThan(5000);
    expect(Number(homeservers[0]?.bytes)).toBeLessThan(10_000);
  });

  it("counts no bytes any more once entries are dropped", async () => {
    const { admin, client } = await start();
    await putAndRead(client, "alpha.example", Buffer.from("{}"));
    await invalidate(client, "alpha.example");
    const { homeservers } = await callUnary(admin, admin.listHomeservers, ALL);
    expect(homeservers[0]).toMatchObject({ entries: 0n, bytes: 0n });
  });

  it("come in pages by name, each once, and one alone when it is named", async () => {
    const { admin, client } = await start();
    for (const name of ["c.example", "a.example", "b.example"]) await positionOf(client, name);
    const pages = await pagesOfOne(async (pageToken) => {
      const reply = await callUnary(admin, admin.listHomeservers, { pageSize: 1, pageToken, homeserver: "" });
      return { items: reply.homeservers.map(({ name }) => name), nextPageToken: reply.nextPageToken };
    });
    expect(pages).toEqual([["a.example"], ["b.example"], ["c.example"]]);
    const one = await callUnary(admin, admin.listHomeservers, { ...ALL, homeserver: "b.example" });
    expect(one.homeservers.map(({ name }) => name)).toEqual(["b.example"]);
  });

  it.each([
    ["page_size", { pageSize: 501 }, "page_size must be at most 500, is 501"],
    ["page_token", { pageToken: "x" }, "page_token must be the next_page_token of a reply to this call"],
    ["page_token", { pageToken: "x".repeat(1025) }, "page_token must have at most 1024 bytes, has 1025"],
    ["homeserver", { homeserver: "x".repeat(256) }, "homeserver must have at most 255 bytes, has 256"],
  ])("refuses a bad %s: %j", async (_field, bad, details) => {
    const { admin } = await start();
    const refused = callUnary(admin, admin.listHomeservers, { ...ALL, ...bad });
    await expect(refused).rejects.toMatchObject({ code: status.INVALID_ARGUMENT, details });
  });
});

describe("subscribers", () => {
  it("shows names, places and what waits for them", async () => {
    const { admin, client } = await start();
    const { stream } = await subscribe(client, "alpha.example", "worker-1");
    await subscribe(client, "beta.example", "worker-2");
    await invalidate(client, "alpha.example");
    const position = await positionOf(client, "alpha.example");
    const request = { ...ALL, homeserver: "alpha.example" };
    await eventually(async () => {
      const { subscribers } = await callUnary(admin, admin.listSubscribers, request);
      expect(subscribers).toEqual([
        {
          homeserver: "alpha.example",
          subscriber: "worker-1",
          peer: "127.0.0.1",
          age: expect.anything(),
          cursor: position,
          head: position,
          lag: 0n,
          waitingBatches: 0,
          state: SubscriberState.WAITING_FOR_CHANGE,
        },
      ]);
    });
    stream.on("error", () => {}).cancel();
    await eventually(async () => {
      const { subscribers } = await callUnary(admin, admin.listSubscribers, ALL);
      expect(subscribers.map(({ subscriber }) => subscriber)).toEqual(["worker-2"]);
    });
  });

  it("shows the lag of a subscriber that does not read, in changes and batches", async () => {
    const { admin, client, server } = await start();
    const reader = server.newClient();
    const stream = stalled(
      reader.subscribe({ homeserver: "slow.example", subscriber: "s", resumeAfter: undefined }),
    );
    await once(stream, "metadata");
    const eventIds = Array.from({ length: 500 }, (_, at) => `$${at}-${"x".repeat(900)}`);
    await eventually(async () => {
      const request = { homeserver: "slow.example", roomId: "", eventIds };
      await callUnary(client, client.invalidateEvents, request);
      const { subscribers } = await callUnary(admin, admin.listSubscribers, ALL);
      expect(subscribers[0]).toMatchObject({ state: SubscriberState.SENDING, waitingBatches: 1 });
      expect(Number(subscribers[0]?.lag)).toBeGreaterThan(0);
    });
  });

  it("come in pages in the order of coming", async () => {
    const { admin, client } = await start();
    for (const name of ["2", "1", "3"]) await subscribe(client, "alpha.example", name);
    const pages = await pagesOfOne(async (pageToken) => {
      const reply = await callUnary(admin, admin.listSubscribers, { pageSize: 1, pageToken, homeserver: "" });
      return {
        items: reply.subscribers.map(({ subscriber }) => subscriber),
        nextPageToken: reply.nextPageToken,
      };
    });
    expect(pages).toEqual([["2"], ["1"], ["3"]]);
  });
});

/** Takes nothing of a stream. */
function stalled(stream: ClientReadableStream<SubscribeResponse>): ClientReadableStream<SubscribeResponse> {
  stream.on("error", () => {});
  return stream.pause();
}

describe("connections", () => {
  it("shows listener, peer, age and calls of each, page by page", async () => {
    const { admin, client, server } = await start();
    await subscribe(client, "alpha.example", "one");
    const health = await fetch(`${server.httpUrl}/livez`, { headers: { connection: "close" } });
    await health.text();
    const pages = await pagesOfOne(async (pageToken) => {
      const reply = await callUnary(admin, admin.listConnections, { pageSize: 1, pageToken });
      return { items: reply.connections, nextPageToken: reply.nextPageToken };
    });
    const shown = pages.flat().filter(({ listener }) => listener !== "http");
    expect(shown).toMatchObject([
      { listener: "grpc", peer: "127.0.0.1", peerPort: expect.any(Number), calls: 1 },
      { listener: "admin", peer: "127.0.0.1", peerPort: expect.any(Number), calls: 1 },
    ]);
    expect(shown[0]?.age).toBeDefined();
  });
});

describe("members", () => {
  it("are none with the memory log", async () => {
    const { admin } = await start();
    expect(await callUnary(admin, admin.listMembers, FIRST_PAGE)).toEqual({ members: [], nextPageToken: "" });
    const positions = await callUnary(admin, admin.listMemberPositions, { ...ALL, memberId: "" });
    expect(positions).toEqual({ positions: [], nextPageToken: "" });
  });
});

describe("the log level", () => {
  it("is returned, and changes the lines that are written", async () => {
    const { admin, client, server } = await start();
    expect(await callUnary(admin, admin.getLogLevel, {})).toEqual({ logLevel: LogLevel.DEBUG });
    const set = await callUnary(admin, admin.setLogLevel, { logLevel: LogLevel.WARN });
    expect(set).toEqual({ previousLogLevel: LogLevel.DEBUG });
    const before = server.logLines.length;
    await subscribe(client, "alpha.example", "quiet");
    expect(server.logLines.slice(before)).toEqual([]);
    await callUnary(admin, admin.setLogLevel, { logLevel: LogLevel.DEBUG });
    await subscribe(client, "alpha.example", "loud");
    expect(server.logLines.at(-1)).toMatchObject({ msg: "a subscriber connected", subscriber: "loud" });
  });

  it.each([0, 7])("cannot be set to %i", async (logLevel) => {
    const { admin } = await start();
    const refused = callUnary(admin, admin.setLogLevel, { logLevel: logLevel as LogLevel });
    const details = "log_level is required and must be a value of LogLevel";
    await expect(refused).rejects.toMatchObject({ code: status.INVALID_ARGUMENT, details });
  });
});

describe("drain", () => {
  it("takes the sidecar out of service, keeps what it holds, and is taken back", async () => {
    const { admin, client, server } = await start();
    await putAndRead(client, "alpha.example", Buffer.from("{}"));
    const subscriber = await subscribe(client, "alpha.example", "one");
    expect(await callUnary(admin, admin.drain, {})).toMatchObject({ calls: 0, readStreams: 0 });

    expect(await subscriber.failed).toMatchObject({ code: status.UNAVAILABLE });
    expect(subscriber.frames).toContain("goingAway");
    expect((await fetch(`${server.httpUrl}/readyz`)).status).toBe(503);
    expect((await fetch(`${server.httpUrl}/livez`)).status).toBe(200);
    const refused = positionOf(client, "alpha.example");
    await expect(refused).rejects.toMatchObject({
      code: status.UNAVAILABLE,
      details: "the server is draining",
    });
    await eventually(async () => {
      expect(await callUnary(admin, admin.drain, {})).toEqual({ calls: 0, readStreams: 0, subscribers: 0 });
    });

    await callUnary(admin, admin.undrain, {});
    await callUnary(admin, admin.undrain, {});
    expect((await fetch(`${server.httpUrl}/readyz`)).status).toBe(200);
    const eventIds = ["$one"];
    const request = {
      homeserver: "alpha.example",
      eventIds,
      redactionView: 0,
      minPosition: undefined,
    } as const;
    expect((await callUnary(client, client.getEvents, request)).events).toHaveLength(1);
    await subscribe(client, "alpha.example", "again");
    expect(server.logLines.map(({ msg }) => msg)).toEqual(
      expect.arrayContaining([
        "the sidecar was drained by an operator; it refuses calls until it is undrained",
        "the sidecar was undrained; it accepts calls again",
      ]),
    );
  });

  it("ends a read stream", async () => {
    const { admin, client } = await start();
    const stream = client.getEventsStream();
    const failed = new Promise<ServiceError>((resolve) => stream.once("error", resolve));
    const request = { homeserver: "alpha.example", eventIds: [], redactionView: 0, minPosition: undefined };
    stream.write({ requestId: 1n, request } as Parameters<typeof stream.write>[0]);
    await once(stream, "data");
    stream.resume();
    await callUnary(admin, admin.drain, {});
    expect(await failed).toMatchObject({ code: status.UNAVAILABLE });
  });
});

describe("the admin listener", () => {
  it("bounds the calls that run at once", async () => {
    const { server } = await start();
    const others = Array.from({ length: 8 }, () => halfOpenCall(server.adminAddress));
    await Promise.all(others.map(({ begun }) => begun));
    const late = adminClientOf(server.adminAddress);
    clients.push(late);
    const refused = callUnary(late, late.getLogLevel, {});
    const details = "8 AdminService calls are already running; try again later";
    await expect(refused).rejects.toMatchObject({ code: status.RESOURCE_EXHAUSTED, details });
    for (const { cancel } of others) cancel();
    await eventually(() => callUnary(late, late.getLogLevel, {}));
  });

  it("has nothing of the cache, and the listeners of homeservers have nothing of it", async () => {
    const { server } = await start();
    const wrong = adminClientOf(server.address);
    clients.push(wrong);
    const unknown = { code: status.UNIMPLEMENTED };
    await expect(callUnary(wrong, wrong.getLogLevel, {})).rejects.toMatchObject(unknown);
    const probes = adminClientOf(server.healthAddress);
    clients.push(probes);
    await expect(callUnary(probes, probes.getLogLevel, {})).rejects.toMatchObject(unknown);
    const cache = new EventCacheServiceClient(server.adminAddress, credentials.createInsecure());
    clients.push(cache);
    await expect(positionOf(cache, "alpha.example")).rejects.toMatchObject(unknown);
  });

  it("reports AdminService as serving while the sidecar is drained, and so do its watches", async () => {
    const { admin, server } = await start();
    const states: string[] = [];
    const watch = admin.makeServerStreamRequest(
      "/grpc.health.v1.Health/Watch",
      (name: string) => Buffer.from([0x0a, name.length, ...Buffer.from(name)]),
      (bytes: Buffer) => (bytes[1] === 1 ? "SERVING" : "NOT_SERVING"),
      "splitcache.v1.EventCacheService",
    );
    watch.on("data", (state: string) => states.push(state)).on("error", () => {});
    await eventually(() => expect(states).toEqual(["SERVING"]));
    await callUnary(admin, admin.drain, {});
    await eventually(() => expect(states).toEqual(["SERVING", "NOT_SERVING"]));
    const env = { SPLITCACHE_ADDRESS: server.adminAddress };
    const service = "splitcache.admin.v1.AdminService";
    expect((await runCli(["health", "--service", service], { env })).stdout).toBe("SERVING\n");
    expect((await runCli(["health"], { env })).stdout).toBe("NOT_SERVING\n");
    await callUnary(admin, admin.undrain, {});
    await eventually(() => expect(states).toEqual(["SERVING", "NOT_SERVING", "SERVING"]));
    watch.cancel();
  });

  it("may be a Unix socket", async () => {
    const folder = await mkdtemp(join(tmpdir(), "splitcache-"));
    try {
      const path = join(folder, "admin.sock");
      const server = await startTestServer({ adminListen: [{ kind: "unix", path }] });
      servers.push(server);
      const env = { SPLITCACHE_ADMIN_LISTEN: `unix:${path}` };
      const { stdout } = await runCli(["admin", "connections"], { env });
      expect(stdout).toMatch(/\nadmin +unix +[\d.]+ m?s +1\n/);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("is not there unless it is asked for", async () => {
    const server = await startTestServer({ adminListen: [] });
    servers.push(server);
    expect(server.adminAddress).toBe("");
  });
});

/** A call whose request never arrives. */
function halfOpenCall(address: string) {
  const client: AdminServiceClient = adminClientOf(address);
  clients.push(client);
  const asIs = (bytes: Buffer) => bytes;
  const stream = client.makeClientStreamRequest(
    "/splitcache.admin.v1.AdminService/GetLogLevel",
    asIs,
    asIs,
    () => {},
  );
  const begun = new Promise<void>((resolve) => {
    client.waitForReady(Date.now() + 10_000, () => resolve());
  });
  return { begun, cancel: () => stream.cancel() };
}
