import { once } from "node:events";
import { constants } from "node:http2";
import { status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import * as wire from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { eventually } from "../../support/eventually.js";
import { call } from "../../support/server/calls.js";
import {
  begin,
  expectIdle,
  METHODS,
  OTHER_METHODS,
  startServer,
  startWithAllServices,
} from "../../support/server/open-calls.js";
import { framed } from "../../support/server/raw-call.js";
import { HOMESERVER, read } from "../../support/server/wire.js";

describe("requests that never finish", () => {
  it.each([
    ["callsInFlight", "GetEvents", 300],
    ["readStreams", "GetEventsStream", 1100],
    ["auxiliaryCalls", "/grpc.health.v1.Health/Check", 300],
    ["auxiliaryCalls", "/grpc.health.v1.Health/Watch", 300],
  ] as const)("of one connection leave %s for another: %s", async (gauge, method, count) => {
    const server = await startWithAllServices({ limits: { requestTimeLimitMs: 60_000 } });
    const session = server.raw();
    for (let started = 0; started < count; started++) begin(session, method);
    await eventually(() => expect(server.started).toHaveLength(count));
    const held = server.usage()[gauge];
    expect(held).toBeGreaterThan(100);
    const client = server.client();
    const beside = begin(server.raw(), method);
    await call(client, client.getEvents, read([]));
    await eventually(() => expect(server.usage()[gauge]).toBe(held + 1));
    const probe = begin(server.raw(), "/grpc.health.v1.Health/Check");
    probe.stream.end(framed(Buffer.alloc(0)));
    expect(await probe.end).toBe(`${status.OK}`);
    const subscriber = client.subscribe({ homeserver: HOMESERVER, resumeAfter: undefined, subscriber: "" });
    subscriber.on("error", () => {});
    await once(subscriber, "data");
    subscriber.cancel();
    beside.stream.close(constants.NGHTTP2_CANCEL);
    session.destroy();
    await expectIdle(server);
  });

  it("of one connection leave subscriptions for another", async () => {
    const server = await startServer({ limits: { subscribersMax: 10, requestTimeLimitMs: 60_000 } });
    const session = server.raw();
    for (let started = 0; started < 12; started++) begin(session, "Subscribe");
    await eventually(() => expect(server.handled).toHaveLength(7));
    const client = server.client();
    const subscriber = client.subscribe({ homeserver: HOMESERVER, resumeAfter: undefined, subscriber: "" });
    subscriber.on("error", () => {});
    await once(subscriber, "data");
    subscriber.cancel();
  });

  it.each([...METHODS.filter((method) => method !== "GetEventsStream"), ...OTHER_METHODS])(
    "end at a limit of their own, with and without a part of their data: %s",
    async (method) => {
      const server = await startWithAllServices({ limits: { requestTimeLimitMs: 50 } });
      const silent = begin(server.raw(), method);
      const half = begin(server.raw(), method);
      half.stream.write(framed(Buffer.alloc(100)).subarray(0, 60));
      expect(await silent.end).toBe(`${status.DEADLINE_EXCEEDED}`);
      expect(await half.end).toBe(`${status.DEADLINE_EXCEEDED}`);
      await expectIdle(server);
    },
  );

  it.each(["GetEvents", "Subscribe", "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"])(
    "for want of their half-close alone end at it too: %s",
    async (method) => {
      const server = await startWithAllServices({ limits: { requestTimeLimitMs: 50 } });
      const { stream, end } = begin(server.raw(), method);
      stream.write(framed(Buffer.alloc(0)));
      expect(await end).toBe(`${status.DEADLINE_EXCEEDED}`);
      await expectIdle(server);
    },
  );

  it("of a read stream count only once they have begun: a stream may stay silent", async () => {
    const server = await startServer({ limits: { requestTimeLimitMs: 50 } });
    const session = server.raw();
    const silent = begin(session, "GetEventsStream");
    const half = begin(session, "GetEventsStream");
    half.stream.write(framed(Buffer.alloc(100)).subarray(0, 3));
    expect(await half.end).toBe(`${status.DEADLINE_EXCEEDED}`);
    expect(server.usage().readStreams).toBe(1);
    silent.stream.end();
    expect(await silent.end).toBe(`${status.OK}`);
  });
});

describe("a capacity that calls hold and do not use", () => {
  const OTHER_HOST = "127.0.0.2";

  it("has room for requests that arrive, over however many connections others do not finish theirs", async () => {
    const server = await startServer({ limits: { callsInFlightMax: 20, requestTimeLimitMs: 60_000 } });
    const held = Array.from({ length: 30 }, () => begin(server.raw(), "GetEvents"));
    await eventually(() => expect(server.started).toHaveLength(30));
    expect(server.usage().callsInFlight).toBeLessThanOrEqual(20);
    const client = server.client();
    await Promise.all(Array.from({ length: 5 }, () => call(client, client.getEvents, read([]))));
    expect(new Set(server.handled)).toEqual(
      new Set([`GetEvents ${status.RESOURCE_EXHAUSTED}`, `GetEvents ${status.OK}`]),
    );
    expect([...server.full]).toEqual(["calls in flight"]);
    for (const { stream } of held) stream.close(constants.NGHTTP2_CANCEL);
    await expectIdle(server);
  });

  it.each([
    ["GetEventsStream", { readStreamsMax: 8 }, "read streams"],
    ["Subscribe", { subscribersMax: 8 }, "subscribers"],
  ] as const)("has room for one more stream: %s", async (method, limits, capacity) => {
    const server = await startServer({ limits: { ...limits, requestTimeLimitMs: 60_000 } });
    const held = Array.from({ length: 8 }, () => begin(server.raw(), method));
    await eventually(() => expect(server.started).toHaveLength(8));
    const last = begin(server.raw(), method);
    const end = await Promise.race(held.map((one) => one.end));
    expect(end).toBe(`${status.RESOURCE_EXHAUSTED}`);
    expect(last.stream.closed).toBe(false);
    expect([...server.full]).toContain(capacity);
    for (const { stream } of [...held, last]) stream.close(constants.NGHTTP2_CANCEL);
    await expectIdle(server);
  });

  it("is not taken from streams in use by the same host, but idle ones of another host make room", async () => {
    const server = await startServer({ limits: { readStreamsMax: 8 } });
    const request = wire.GetEventsStreamRequest.encode({ requestId: 1n, request: read([]) }).finish();
    const held = Array.from({ length: 8 }, () => begin(server.raw(), "GetEventsStream"));
    for (const { stream } of held) stream.write(framed(request));
    await Promise.all(held.map(({ stream }) => once(stream, "data")));
    await eventually(() => expect(server.usage().bytesInFlight).toBe(0));
    expect(await begin(server.raw(), "GetEventsStream").end).toBe(`${status.RESOURCE_EXHAUSTED}`);
    const beside = begin(server.raw({}, OTHER_HOST), "GetEventsStream");
    beside.stream.write(framed(request));
    await once(beside.stream, "data");
    expect(await Promise.race(held.map(({ end }) => end))).toBe(`${status.RESOURCE_EXHAUSTED}`);
    for (const { stream } of [...held, beside]) stream.close(constants.NGHTTP2_CANCEL);
    await expectIdle(server);
  });
});
