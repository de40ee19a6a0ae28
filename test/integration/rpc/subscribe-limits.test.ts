import { once } from "node:events";
import { constants } from "node:http2";
import { status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import * as wire from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { eventually } from "../../support/eventually.js";
import { describeError } from "../../support/server/calls.js";
import type { TestServer } from "../../support/server/grpc-server.js";
import { framed, rawCall } from "../../support/server/raw-call.js";
import { open, subscribe } from "../../support/server/subscribers.js";
import { HOMESERVER } from "../../support/server/wire.js";
import { homeserver } from "../../support/store/store-harness.js";

const request = framed(
  wire.SubscribeRequest.encode(wire.SubscribeRequest.create({ homeserver: HOMESERVER })).finish(),
);

function subscribers(server: TestServer): number {
  return server.store.stats().homeservers.get(homeserver(HOMESERVER))?.subscribers ?? 0;
}

async function expectNoSubscribers(server: TestServer): Promise<void> {
  await eventually(() => expect([subscribers(server), server.usage().subscriptionBytes]).toEqual([0, 0]));
}

describe("batches for which there is no room", () => {
  it("wait their turn: every subscriber gets all of a burst, and none a Reset", async () => {
    const { server, client, invalidate } = await open({ limits: { subscriptionBytesMax: 1_100_000 } });
    const all = Array.from({ length: 100 }, () => subscribe(client));
    await eventually(() => expect(all.every(({ kinds }) => kinds.length === 1)).toBe(true));
    const eventIds = Array.from({ length: 500 }, (_, index) => `$${index}`.padEnd(40, "x"));
    for (let change = 0; change < 5; change++) await invalidate(eventIds);
    await eventually(() => expect(all.every(({ sequences }) => sequences.length >= 5)).toBe(true));
    for (const { sequences, kinds } of all) {
      expect(sequences).toEqual([1, 2, 3, 4, 5]);
      expect(new Set(kinds.slice(1))).toEqual(new Set(["batch"]));
    }
    for (const subscriber of all) subscriber.cancel();
    await expectNoSubscribers(server);
  });

  it("leave even if one is larger than all the room there is", async () => {
    const { server, client, invalidate } = await open({ limits: { subscriptionBytesMax: 100 } });
    const subscriber = subscribe(client);
    await eventually(() => expect(subscriber.kinds).toEqual(["ready"]));
    await invalidate(["$".padEnd(200, "x")]);
    await eventually(() => expect(subscriber.sequences).toEqual([1]));
    subscriber.cancel();
    await expectNoSubscribers(server);
  });

  it("are given up by subscribers that leave or drain while they wait", async () => {
    const { server, client, invalidate } = await open({ limits: { subscriptionBytesMax: 100 } });
    const session = server.raw({ initialWindowSize: 200 });
    const holding = rawCall(session, "Subscribe");
    holding.stream.end(request);
    await eventually(() => expect(subscribers(server)).toBe(1));
    await invalidate(["$".padEnd(500, "x")]);
    await eventually(() => expect(server.usage().subscriptionBytes).toBeGreaterThan(500));
    const leaving = subscribe(client);
    const staying = subscribe(client);
    await eventually(() => expect([leaving.kinds, staying.kinds]).toEqual([["ready"], ["ready"]]));
    await invalidate(["$b"]);
    // Waiting subscribers have no place in the store.
    await eventually(() => expect(subscribers(server)).toBe(1));
    leaving.cancel();
    server.drain();
    await eventually(() => expect(staying.error?.code).toBe(status.UNAVAILABLE));
    expect(staying.kinds).toEqual(["ready", "goingAway"]);
    session.destroy();
    await expectNoSubscribers(server);
  });
});

describe("requests to subscribe", () => {
  it("count as bytes in flight until the client half-closes, and have to by the time limit", async () => {
    const { server } = await open({ limits: { requestTimeLimitMs: 200 } });
    const { stream, end } = rawCall(server.raw(), "Subscribe");
    stream.write(request);
    stream.resume();
    await eventually(() => expect(server.usage().bytesInFlight).toBeGreaterThan(request.byteLength));
    expect(await end).toBe(`${status.DEADLINE_EXCEEDED}`);
    await eventually(() => expect(server.usage().bytesInFlight).toBe(0));
  });

  it("count no more once they are served", async () => {
    const { server, client } = await open({ limits: { requestTimeLimitMs: 100, callTimeLimitMs: 100 } });
    const subscriber = subscribe(client);
    await eventually(() => expect(subscriber.kinds).toEqual(["ready"]));
    expect(server.usage().bytesInFlight).toBe(0);
    await eventually(() => expect(subscriber.progressCount).toBeGreaterThan(40));
    subscriber.cancel();
    await expectNoSubscribers(server);
  });

  it("are refused above 64 KiB as soon as their length has arrived", async () => {
    const { server } = await open();
    const large = wire.SubscribeRequest.encode(
      wire.SubscribeRequest.create({ homeserver: HOMESERVER, subscriber: "x".repeat(65_536) }),
    ).finish();
    const whole = rawCall(server.raw(), "Subscribe");
    whole.stream.end(framed(large));
    whole.stream.resume();
    expect(await whole.end).toBe(`${status.RESOURCE_EXHAUSTED}`);
    const head = rawCall(server.raw(), "Subscribe");
    head.stream.write(framed(large).subarray(0, 5));
    head.stream.resume();
    expect(await head.end).toBe(`${status.RESOURCE_EXHAUSTED}`);
    await expectNoSubscribers(server);
  });

  it("are refused with RetryInfo from their headers on, when there are as many as may be", async () => {
    const { server, client } = await open({ limits: { subscribersMax: 2 } });
    const session = server.raw();
    const silent = [rawCall(server.raw(), "Subscribe"), rawCall(session, "Subscribe")];
    // Until they have subscribed they could lose their places.
    for (const { stream } of silent) stream.end(request);
    await Promise.all(silent.map(({ stream }) => once(stream, "data")));
    // Streams of a connection open in order, so that this one comes behind them.
    const third = rawCall(session, "Subscribe");
    third.stream.resume();
    expect(await third.end).toBe(`${status.RESOURCE_EXHAUSTED}`);
    const refused = subscribe(client);
    await eventually(() => expect(refused.error?.code).toBe(status.RESOURCE_EXHAUSTED));
    expect(describeError(refused.error!).canRetry).toBe(true);
    for (const { stream } of silent) stream.close(constants.NGHTTP2_CANCEL);
    await eventually(() => expect(server.handled).toHaveLength(4));
    const taken = subscribe(client);
    await eventually(() => expect(taken.kinds).toEqual(["ready"]));
    taken.cancel();
    await expectNoSubscribers(server);
  });
});
