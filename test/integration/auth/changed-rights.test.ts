import { type ServiceError, status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { CallAccess } from "../../../src/auth/call-access.js";
import { Clients, digestOf } from "../../../src/auth/clients.js";
import type { Role } from "../../../src/auth/principal.js";
import * as wire from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { eventually } from "../../support/eventually.js";
import {
  ALPHA,
  BETA,
  bearing,
  call,
  codeOf,
  getEvents,
  type Method,
  readOf,
  token,
} from "../../support/server/auth-server.js";
import { useGrpcServers } from "../../support/server/grpc-server.js";
import { framed, rawCall } from "../../support/server/raw-call.js";
import { heldStore } from "../../support/server/read-stream.js";
import { cachedEvent, put } from "../../support/server/wire.js";

const startServer = useGrpcServers();
const QUIET = { refused: () => {}, denied: () => {}, called: () => {} };

/** Counts the listeners for changes. */
class ObservedClients extends Clients {
  listeners = 0;

  override onChange(listener: () => void): () => void {
    this.listeners += 1;
    const forget = super.onChange(listener);
    return () => {
      this.listeners -= 1;
      forget();
    };
  }
}

/** A server with a client whose rights change, and one of beta whose rights do not. */
async function open(options: Parameters<typeof startServer>[0] = {}) {
  const [secret, betaSecret] = [token(), token()];
  const entry = (by: string, role: Role, homeserver: string | undefined) => ({
    rights: { name: role, role, homeservers: homeserver === undefined ? undefined : new Set([homeserver]) },
    tokenDigests: [digestOf(by)],
    certificateNames: [],
    unixSockets: [],
  });
  const beta = entry(betaSecret, "homeserver", BETA);
  const clients = new ObservedClients([entry(secret, "homeserver", ALPHA), beta]);
  const server = await startServer({ ...options, access: new CallAccess(clients, QUIET) });
  const [own, other] = [bearing(secret), bearing(betaSecret)];
  return {
    server,
    clients,
    client: server.client(),
    own,
    other,
    authorization: `Bearer ${secret}`,
    become: (role: Role, homeserver?: string) => clients.replace([entry(secret, role, homeserver), beta]),
    revoke: () => clients.replace([beta]),
  };
}

type Opened = Awaited<ReturnType<typeof open>>;

/** Ends with the status that the stream ends with. */
function ended(stream: { on(event: "error", listener: (error: ServiceError) => void): unknown }) {
  const seen = { code: undefined as number | undefined };
  stream.on("error", ({ code }) => {
    seen.code ??= code;
  });
  return seen;
}

function readStream({ client, own }: Opened) {
  const stream = client.getEventsStream(own);
  const replies: wire.GetEventsStreamResponse[] = [];
  stream.on("data", (reply: wire.GetEventsStreamResponse) => replies.push(reply));
  return { stream, replies, end: ended(stream) };
}

function subscribe({ client, own }: Opened, homeserver = ALPHA) {
  const stream = client.subscribe(wire.SubscribeRequest.create({ homeserver }), own);
  const frames: wire.SubscribeResponse[] = [];
  stream.on("data", (frame: wire.SubscribeResponse) => frames.push(frame));
  return { stream, frames, end: ended(stream) };
}

async function putEvents({ client }: Opened, by: ReturnType<typeof bearing>, homeserver: string) {
  const { position } = await getEvents(client, homeserver, by);
  const events = [
    cachedEvent("$good", { internalMetadata: Buffer.from("secret") }),
    cachedEvent("$bad", { rejected: true }),
  ];
  const method = client.putEvents as Method<wire.PutEventsRequest, wire.PutEventsResponse>;
  await call(client, method, put(events, position, homeserver), by);
}

describe("a change of rights", () => {
  it.each([
    ["a credential that was removed", (opened: Opened) => opened.revoke(), status.UNAUTHENTICATED],
    ["a role without the method", (opened: Opened) => opened.become("operator"), status.PERMISSION_DENIED],
  ])("ends the read streams and subscriptions of %s, and frees what they hold", async (_, change, code) => {
    const opened = await open();
    const { server, clients } = opened;
    const [read, subscription] = [readStream(opened), subscribe(opened)];
    read.stream.write({ requestId: 1n, request: readOf(ALPHA) });
    await eventually(() => expect(read.replies).toHaveLength(1));
    await eventually(() => expect(subscription.frames).not.toHaveLength(0));
    change(opened);
    await eventually(() => expect([read.end.code, subscription.end.code]).toEqual([code, code]));
    await eventually(() => expect([server.usage().readStreams, clients.listeners]).toEqual([0, 0]));
    expect(server.subscriptions.size).toBe(0);
  });

  it("does not let a role read through a stream what it may not read through a call", async () => {
    const opened = await open();
    await putEvents(opened, opened.other, BETA);
    const { stream, replies, end } = readStream(opened);
    stream.write({ requestId: 1n, request: readOf(ALPHA) });
    await eventually(() => expect(replies).toHaveLength(1));
    opened.become("operator");
    stream.write({ requestId: 2n, request: readOf(BETA, ["$good"]) });
    await eventually(() => expect(end.code).toBe(status.PERMISSION_DENIED));
    expect(replies).toHaveLength(1);
  });

  it("counts between the headers and the request, and between the request and its end", async () => {
    const opened = await open();
    const { server, authorization } = opened;
    const bytes = framed(
      wire.PurgeHomeserverRequest.encode(wire.PurgeHomeserverRequest.create({ homeserver: ALPHA })).finish(),
    );
    const { position: before } = await getEvents(opened.client, ALPHA, opened.own);
    const [early, late] = [1, 2].map(() => rawCall(server.raw(), "PurgeHomeserver", { authorization }));
    late?.stream.resume().write(bytes);
    early?.stream.resume();
    await eventually(() =>
      expect(server.started.filter((name) => name === "PurgeHomeserver")).toHaveLength(2),
    );
    await eventually(() => expect(server.usage().bytesInFlight).toBeGreaterThanOrEqual(bytes.byteLength));
    opened.become("reader", ALPHA);
    early?.stream.end(bytes);
    late?.stream.end();
    expect(await Promise.all([early?.end, late?.end])).toEqual(["7", "7"]);
    expect((await getEvents(opened.client, ALPHA, opened.own)).position).toEqual(before);
  });

  it("counts for reads that wait: their view is refused, or they are shown as to a reader", async () => {
    const { held, release, waiting } = heldStore();
    const opened = await open({ store: held });
    const { client, own } = opened;
    await putEvents(opened, own, ALPHA);
    const original = { ...readOf(ALPHA, ["$good"]), redactionView: wire.RedactionView.ORIGINAL };
    const { stream, replies } = readStream(opened);
    const method = client.getEvents as Method<wire.GetEventsRequest, wire.GetEventsResponse>;
    const refused = codeOf(call(client, method, original, own));
    const shown = getEvents(client, ALPHA, own, ["$good", "$bad"]);
    stream.write({ requestId: 1n, request: original });
    stream.write({ requestId: 2n, request: readOf(ALPHA, ["$good", "$bad"]) });
    await eventually(() => expect(waiting()).toBe(4));
    opened.become("reader", ALPHA);
    release();
    expect(await refused).toBe(status.PERMISSION_DENIED);
    const expected = [{ eventId: "$good", internalMetadata: Buffer.alloc(0) }];
    expect((await shown).events).toMatchObject(expected);
    await eventually(() => expect(replies).toHaveLength(2));
    const byId = new Map(replies.map(({ requestId, result }) => [requestId, result]));
    expect(byId.get(1n)).toMatchObject({ $case: "failure", value: { code: status.PERMISSION_DENIED } });
    expect(byId.get(2n)).toMatchObject({ $case: "response", value: { events: expected } });
  });

  it("ends a read stream whose lookup waits, and nothing of it is sent", async () => {
    const { held, release, waiting } = heldStore();
    const opened = await open({ store: held });
    await putEvents(opened, opened.own, ALPHA);
    const { stream, replies, end } = readStream(opened);
    stream.write({ requestId: 1n, request: readOf(ALPHA) });
    await eventually(() => expect(replies).toHaveLength(1));
    stream.write({ requestId: 2n, request: readOf(ALPHA, ["$good"]) });
    await eventually(() => expect(waiting()).toBe(1));
    opened.revoke();
    release();
    await eventually(() => expect(end.code).toBe(status.UNAUTHENTICATED));
    expect(replies).toHaveLength(1);
    await eventually(() => expect(opened.server.usage().bytesInFlight).toBe(0));
    expect(opened.server.errors).toEqual([]);
  });

  it("is not waited for by a Subscribe that has ended, whatever number of requests it sent", async () => {
    const opened = await open();
    const { server, clients, authorization } = opened;
    const request = framed(
      wire.SubscribeRequest.encode(wire.SubscribeRequest.create({ homeserver: ALPHA })).finish(),
    );
    const { stream, end } = rawCall(server.raw(), "Subscribe", { authorization });
    stream.resume().end(Buffer.concat([request, request]));
    await end;
    await eventually(() => expect(server.handled.some((line) => line.startsWith("Subscribe"))).toBe(true));
    expect(clients.listeners).toBe(0);
  });
});

describe("streams of the cache", () => {
  it("refuse a Subscribe for another's homeserver", async () => {
    const opened = await open();
    const { end, frames } = subscribe(opened, BETA);
    await eventually(() => expect(end.code).toBe(status.PERMISSION_DENIED));
    expect(frames).toEqual([]);
  });

  it("let a reader subscribe, and read what a reader may see", async () => {
    const opened = await open();
    await putEvents(opened, opened.own, ALPHA);
    opened.become("reader", ALPHA);
    const subscription = subscribe(opened);
    await eventually(() => expect(subscription.frames).not.toHaveLength(0));
    const { stream, replies } = readStream(opened);
    stream.write({ requestId: 1n, request: readOf(ALPHA, ["$good", "$bad"]) });
    const original = { ...readOf(ALPHA, ["$good"]), redactionView: wire.RedactionView.ORIGINAL };
    stream.write({ requestId: 2n, request: original });
    await eventually(() => expect(replies).toHaveLength(2));
    expect(replies[0]?.result).toMatchObject({
      $case: "response",
      value: { events: [{ eventId: "$good", internalMetadata: Buffer.alloc(0) }], missingEventIds: ["$bad"] },
    });
    expect(replies[1]?.result).toMatchObject({ $case: "failure", value: { code: status.PERMISSION_DENIED } });
  });
});
