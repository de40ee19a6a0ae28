import { constants } from "node:http2";
import { status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import * as wire from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { eventually } from "../../support/eventually.js";
import { call } from "../../support/server/calls.js";
import type { TestServer } from "../../support/server/grpc-server.js";
import { framed, rawCall } from "../../support/server/raw-call.js";
import { open, subscribe } from "../../support/server/subscribers.js";
import { HOMESERVER } from "../../support/server/wire.js";
import { homeserver, makeMemoryStore } from "../../support/store/store-harness.js";

const HOUR_MS = 3_600_000;

const request = framed(
  wire.SubscribeRequest.encode(wire.SubscribeRequest.create({ homeserver: HOMESERVER })).finish(),
);

function subscribers(server: TestServer): number {
  return server.store.stats().homeservers.get(homeserver(HOMESERVER))?.subscribers ?? 0;
}

async function expectNoSubscribers(server: TestServer): Promise<void> {
  await eventually(() => expect([subscribers(server), server.usage().subscriptionBytes]).toEqual([0, 0]));
}

describe("a subscription", () => {
  it("starts with Ready, carries every kind of change, and sends Progress", async () => {
    const { server, client, invalidate } = await open();
    const subscriber = subscribe(client);
    await eventually(() => expect(subscriber.kinds).toEqual(["ready"]));
    const [ready] = subscriber.frames;
    expect(ready?.value).toMatchObject({
      resumed: false,
      progressInterval: { seconds: 0n, nanos: 5_000_000 },
      silenceLimit: { seconds: 5n, nanos: 0 },
    });
    const redaction = { redactedBy: "$r", redactedBody: Buffer.alloc(0) };
    const about = { homeserver: HOMESERVER, roomId: "!room", eventId: "$a", asOf: undefined };
    await call(client, client.setRedaction, { ...about, redaction });
    await call(client, client.setRejected, { ...about, rejected: true, rejectedReason: "" });
    await invalidate(["$a", "$b"]);
    await call(client, client.purgeRoom, { homeserver: HOMESERVER, roomId: "!room" });
    await call(client, client.purgeHomeserver, { homeserver: HOMESERVER, newEpoch: false });
    await eventually(() => expect(subscriber.sequences).toEqual([1, 2, 3, 4, 5]));
    const changes = subscriber.frames.flatMap((frame) =>
      frame.$case === "batch" ? frame.value.notices.map(({ change }) => change) : [],
    );
    expect(changes).toEqual([
      { $case: "eventRedacted", value: { roomId: "!room", eventId: "$a", redactedBy: "$r" } },
      { $case: "eventRejected", value: { roomId: "!room", eventId: "$a", rejected: true } },
      { $case: "eventsInvalidated", value: { roomId: "", eventIds: ["$a", "$b"] } },
      { $case: "roomPurged", value: { roomId: "!room" } },
      { $case: "homeserverPurged", value: {} },
    ]);
    await eventually(() => expect(subscriber.progressCount).toBeGreaterThan(0));
    subscriber.cancel();
    await expectNoSubscribers(server);
  });

  it("resumes after a position, and is reset when that is of an epoch before a restart", async () => {
    const { server, client, invalidate } = await open();
    const { position } = await invalidate(["$a"]);
    await invalidate(["$b"]);
    const resumed = subscribe(client, position);
    await eventually(() => expect(resumed.sequences).toEqual([2]));
    expect(resumed.frames[0]).toMatchObject({ $case: "ready", value: { resumed: true } });
    const lost = subscribe(client, { epoch: Buffer.alloc(16, 9), sequence: 1n });
    await eventually(() => expect(lost.frames).toHaveLength(1));
    expect(lost.frames[0]).toMatchObject({
      $case: "reset",
      value: { reason: wire.ResetReason.WRONG_EPOCH, progressInterval: { nanos: 5_000_000 } },
    });
    resumed.cancel();
    lost.cancel();
    await expectNoSubscribers(server);
  });

  it("is refused when it names no homeserver or an epoch of another length", async () => {
    const { client } = await open();
    const bad = subscribe(client, { epoch: Buffer.alloc(3), sequence: 1n }, "");
    await eventually(() => expect(bad.error?.code).toBe(status.INVALID_ARGUMENT));
  });

  it("gets GoingAway and ends with UNAVAILABLE on a drain; new subscriptions are refused", async () => {
    const { server, client } = await open();
    const subscriber = subscribe(client);
    await eventually(() => expect(subscriber.kinds).toEqual(["ready"]));
    server.drain();
    await eventually(() => expect(subscriber.error?.code).toBe(status.UNAVAILABLE));
    expect(subscriber.kinds).toEqual(["ready", "goingAway"]);
    const late = subscribe(client);
    await eventually(() => expect(late.error?.code).toBe(status.UNAVAILABLE));
    await expectNoSubscribers(server);
  });

  it("reaches 1,000 subscribers on four connections, and leaves nothing when they go", async () => {
    const { store } = makeMemoryStore({ progressIntervalMs: 1000 });
    const { server, client, invalidate } = await open({ store });
    const clients = [client, server.client(), server.client(), server.client()];
    const all = Array.from({ length: 1000 }, (_, index) => subscribe(clients[index % 4]!));
    await eventually(() => expect(all.filter(({ frames }) => frames.length > 0)).toHaveLength(1000));
    for (let change = 0; change < 20; change++) await invalidate([`$${change}`]);
    const expected = Array.from({ length: 20 }, (_, index) => index + 1);
    await eventually(() => {
      expect(all.every(({ sequences }) => sequences.length === 20)).toBe(true);
    });
    for (const { sequences } of all) expect(sequences).toEqual(expected);
    for (const subscriber of all) subscriber.cancel();
    await expectNoSubscribers(server);
  });
});

describe("a subscriber that is silent", () => {
  it("leaves nothing when it cancels, before any Progress is due", async () => {
    const { store } = makeMemoryStore({ progressIntervalMs: HOUR_MS });
    const { server, client } = await open({ store });
    const subscriber = subscribe(client);
    await eventually(() => expect(subscriber.kinds).toEqual(["ready"]));
    subscriber.cancel();
    await expectNoSubscribers(server);
  });
});

describe("a subscriber that does not read", () => {
  /** Subscribes on a connection whose window is 0. */
  function stall(server: TestServer) {
    const session = server.raw({ initialWindowSize: 0 });
    const started = rawCall(session, "Subscribe");
    started.stream.end(request);
    return { session, ...started };
  }

  it("leaves nothing when it cancels or its connection breaks", async () => {
    const { store } = makeMemoryStore({ progressIntervalMs: HOUR_MS });
    const { server, invalidate } = await open({ store });
    const cancelling = stall(server);
    const breaking = stall(server);
    await eventually(() => expect(subscribers(server)).toBe(2));
    await invalidate(["$a"]);
    cancelling.stream.close(constants.NGHTTP2_CANCEL);
    await eventually(() => expect(subscribers(server)).toBe(1));
    breaking.session.destroy();
    await expectNoSubscribers(server);
    await eventually(() => expect(server.handled.filter((call) => call === "Subscribe 1")).toHaveLength(2));
  });

  it("delays no other subscriber, and receives the missed changes when it reads again", async () => {
    const { server, client, invalidate } = await open();
    const stalled = stall(server);
    const reading = subscribe(client);
    await eventually(() => expect(subscribers(server)).toBe(2));
    for (let change = 0; change < 10; change++) await invalidate([`$${change}`]);
    await eventually(() => expect(reading.sequences).toHaveLength(10));
    const received: Buffer[] = [];
    stalled.stream.on("data", (bytes: Buffer) => received.push(bytes));
    stalled.session.settings({ initialWindowSize: 1_000_000 });
    await eventually(() => {
      const sequences = messages(Buffer.concat(received)).flatMap((bytes) => {
        const { frame } = wire.SubscribeResponse.decode(bytes);
        return frame?.$case === "batch" ? frame.value.notices.map(({ sequence }) => Number(sequence)) : [];
      });
      expect(sequences).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    });
    stalled.stream.close();
    reading.cancel();
    await expectNoSubscribers(server);
  });

  it("is cut off when a batch has not left within the time limit, and what that held is free", async () => {
    const { server, client, invalidate } = await open({ limits: { callTimeLimitMs: 50 } });
    // Ready leaves, a batch does not.
    const session = server.raw({ initialWindowSize: 200 });
    const { stream, end } = rawCall(session, "Subscribe");
    stream.end(request);
    const reading = subscribe(client);
    await eventually(() => expect(subscribers(server)).toBe(2));
    await invalidate(["$".padEnd(500, "x")]);
    expect(await end).toBe(`reset ${constants.NGHTTP2_CANCEL}`);
    await eventually(() => expect(server.usage().subscriptionBytes).toBe(0));
    expect(reading.sequences).toEqual([1]);
    reading.cancel();
    await expectNoSubscribers(server);
  });

  it("is not cut off while only Progress is due", async () => {
    const { server, client } = await open({ limits: { callTimeLimitMs: 50 } });
    const stalled = stall(server);
    const reading = subscribe(client);
    // Signs of life come every 5 ms.
    await eventually(() => expect(reading.progressCount).toBeGreaterThan(30));
    expect(subscribers(server)).toBe(2);
    stalled.stream.close();
    reading.cancel();
    await expectNoSubscribers(server);
  });
});

/** The messages of a stream of bytes, as far as they are complete. */
function messages(bytes: Buffer): Buffer[] {
  const found: Buffer[] = [];
  let at = 0;
  while (at + 5 <= bytes.byteLength) {
    const end = at + 5 + bytes.readUInt32BE(at + 1);
    if (end > bytes.byteLength) break;
    found.push(bytes.subarray(at + 5, end));
    at = end;
  }
  return found;
}
