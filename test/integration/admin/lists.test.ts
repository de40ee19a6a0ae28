import { once } from "node:events";
import { type ClientReadableStream, status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { SubscriberState } from "../../../src/gen/splitcache/admin/v1/admin_service.js";
import type { SubscribeResponse } from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { eventually } from "../../support/eventually.js";
import { callUnary } from "../../support/server/admin-client.js";
import {
  ALL,
  FIRST_PAGE,
  invalidate,
  pagesOfOne,
  positionOf,
  putAndRead,
  start,
  subscribe,
} from "../../support/server/admin-server.js";

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
