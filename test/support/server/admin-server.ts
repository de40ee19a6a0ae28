import type { ServiceError } from "@grpc/grpc-js";
import { afterEach, expect } from "vitest";
import type { Config } from "../../../src/config/options.js";
import {
  type EventCacheServiceClient,
  GetEventsRequest,
  type SubscribeResponse,
} from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { eventually } from "../eventually.js";
import { adminClientOf, callUnary } from "./admin-client.js";
import { startTestServer, type TestServer } from "./start-server.js";

export const servers: TestServer[] = [];
export const clients: { close(): void }[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

export async function start(given: Partial<Config> = {}) {
  const server = await startTestServer(given);
  servers.push(server);
  const admin = adminClientOf(server.adminAddress);
  clients.push(admin);
  return { server, admin, client: server.newClient() };
}

export const FIRST_PAGE = { pageSize: 0, pageToken: "" };
export const ALL = { ...FIRST_PAGE, homeserver: "" };

export async function positionOf(client: EventCacheServiceClient, homeserver: string) {
  const request = GetEventsRequest.create({ homeserver });
  return (await callUnary(client, client.getEvents, request)).position;
}

export async function putAndRead(
  client: EventCacheServiceClient,
  homeserver: string,
  body: Buffer,
): Promise<void> {
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

export function invalidate(client: EventCacheServiceClient, homeserver: string, eventId = "$one") {
  return callUnary(client, client.invalidateEvents, { homeserver, roomId: "", eventIds: [eventId] });
}

/** A subscription whose first frame has come. */
export async function subscribe(client: EventCacheServiceClient, homeserver: string, subscriber: string) {
  const stream = client.subscribe({ homeserver, subscriber, resumeAfter: undefined });
  const frames: string[] = [];
  stream.on("data", ({ frame }: SubscribeResponse) => frames.push(frame?.$case ?? "none"));
  const failed = new Promise<ServiceError>((resolve) => stream.once("error", resolve));
  await eventually(() => expect(frames).toContain("ready"));
  return { stream, frames, failed };
}

/** Reads pages of one until there are no more. */
export async function pagesOfOne<Item>(
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
