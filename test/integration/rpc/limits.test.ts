import { type ClientHttp2Session, constants } from "node:http2";
import { status } from "@grpc/grpc-js";
import { HealthImplementation } from "grpc-health-check";
import { describe, expect, it } from "vitest";
import * as wire from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { eventually } from "../../support/eventually.js";
import { call, failureOf } from "../../support/server/calls.js";
import { expectIdle, startServer, startWithLargeEvent } from "../../support/server/large-event.js";
import { framed, type RawCall, rawCall } from "../../support/server/raw-call.js";
import { cachedEvent, HOMESERVER, put, read } from "../../support/server/wire.js";

const MIB = 1024 * 1024;

function startRead(session: ClientHttp2Session, homeserver = HOMESERVER): RawCall {
  const started = rawCall(session, "GetEvents");
  started.stream.end(framed(wire.GetEventsRequest.encode(read(["$large"], { homeserver })).finish()));
  return started;
}

describe("requests that are sent halfway", () => {
  it("count from their first byte, and are refused beyond the limit", async () => {
    const { server } = await startWithLargeEvent({ limits: { bytesInFlightMax: MIB } });
    const session = server.raw();
    const half = framed(Buffer.alloc(400_000)).subarray(0, 300_000);
    const calls = Array.from({ length: 6 }, () => {
      const started = rawCall(session, "PutEvents");
      started.stream.write(half);
      started.stream.resume();
      return started;
    });
    const ends: string[] = [];
    for (const { end } of calls) void end.then((how) => ends.push(how));
    await eventually(() => expect(ends.length).toBeGreaterThanOrEqual(3));
    expect(new Set(ends)).toEqual(new Set([`${status.RESOURCE_EXHAUSTED}`]));
    expect(server.usage().bytesInFlight).toBeLessThanOrEqual(MIB);
    session.destroy();
    await expectIdle(server);
  });

  it.each(["PutEvents", "Subscribe", "GetEventsStream"])(
    "are refused by %s when they never end",
    async (method) => {
      const { server } = await startWithLargeEvent({ limits: { requestTimeLimitMs: 50 } });
      const { stream, end } = rawCall(server.raw(), method);
      stream.write(framed(Buffer.alloc(1000)).subarray(0, 500));
      stream.resume();
      expect(await end).toBe(`${status.DEADLINE_EXCEEDED}`);
      await expectIdle(server);
      expect(server.usage().readStreams).toBe(0);
    },
  );
});

describe("calls in flight", () => {
  it("are refused with RetryInfo from their headers on, when there are too many", async () => {
    const { server, client } = await startWithLargeEvent({ limits: { callsInFlightMax: 8 } });
    // Their replies wait: until their requests have arrived they could lose their places.
    const calls = Array.from({ length: 8 }, () => startRead(server.raw({ initialWindowSize: 0 })));
    await eventually(() => expect(server.usage().bytesInFlight).toBeGreaterThan(1_600_000));
    expect(await failureOf(call(client, client.getEvents, read([])))).toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      canRetry: true,
    });
    for (const { stream } of calls) stream.close(constants.NGHTTP2_CANCEL);
    await expectIdle(server);
    await call(client, client.getEvents, read([]));
  });

  it("of one homeserver take at most a quarter, once there are several", async () => {
    const { server, client } = await startWithLargeEvent({ limits: { callsInFlightMax: 8 } });
    const session = server.raw({ initialWindowSize: 0 });
    const stalled = [startRead(session), startRead(session), startRead(session)];
    await eventually(() => expect(server.usage().bytesInFlight).toBeGreaterThan(600_000));
    await call(client, client.getEvents, read([], { homeserver: "beta.example" }));
    expect(await failureOf(call(client, client.getEvents, read([])))).toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      canRetry: true,
    });
    await call(client, client.getEvents, read([], { homeserver: "beta.example" }));
    for (const { stream } of stalled) stream.close(constants.NGHTTP2_CANCEL);
    await expectIdle(server);
    await call(client, client.getEvents, read([]));
  });
});

describe("a homeserver's name that is refused", () => {
  it.each(["", "h".repeat(256), "other.example"])(
    "does not count as another homeserver: %j",
    async (name) => {
      const { server, client } = await startWithLargeEvent({
        limits: { callsInFlightMax: 8 },
        allowedHomeservers: new Set([HOMESERVER]),
      });
      const bad = call(client, client.getEvents, read([], { homeserver: name }));
      expect(await failureOf(bad)).toMatchObject({ code: status.INVALID_ARGUMENT, fields: ["homeserver"] });
      const session = server.raw({ initialWindowSize: 0 });
      const stalled = [startRead(session), startRead(session), startRead(session)];
      await eventually(() => expect(server.usage().bytesInFlight).toBeGreaterThan(600_000));
      await call(client, client.getEvents, read([]));
      for (const { stream } of stalled) stream.close(constants.NGHTTP2_CANCEL);
      await expectIdle(server);
    },
  );

  it("is refused as such even while another homeserver is active and the quarter is small", async () => {
    const { client } = await startWithLargeEvent({ limits: { callsInFlightMax: 2 } });
    expect(await failureOf(call(client, client.getEvents, read([], { homeserver: "" })))).toMatchObject({
      code: status.INVALID_ARGUMENT,
    });
    await call(client, client.getEvents, read([], { homeserver: "beta.example" }));
    await call(client, client.getEvents, read([]));
  });
});

describe("calls of other services", () => {
  async function startWithHealth() {
    const server = await startServer();
    new HealthImplementation({ "": "SERVING" }).addToServer(server.server);
    const session = server.raw();
    const start = (method: string) =>
      rawCall(session, method, { ":path": `/grpc.health.v1.Health/${method}` });
    return { server, start };
  }
  const emptyRequest = framed(Buffer.alloc(0));

  it("leave probes alone, however many streams are open", async () => {
    const { server, start } = await startWithHealth();
    const watches = Array.from({ length: 128 }, () => start("Watch"));
    for (const { stream } of watches) stream.end(emptyRequest);
    await eventually(() => expect(server.usage().auxiliaryCalls).toBe(128));
    const oneMore = start("Watch");
    oneMore.stream.end(emptyRequest);
    oneMore.stream.resume();
    expect(await oneMore.end).toBe(`${status.RESOURCE_EXHAUSTED}`);
    const probe = start("Check");
    probe.stream.end(emptyRequest);
    probe.stream.resume();
    expect(await probe.end).toBe(`${status.OK}`);
    for (const { stream } of watches) stream.close(constants.NGHTTP2_CANCEL);
    await eventually(() => expect(server.usage().auxiliaryCalls).toBe(0));
  });

  it.each(["Check", "Watch"])("are refused when they announce more than 64 KiB: %s", async (method) => {
    const { server, start } = await startWithHealth();
    const { stream, end } = start(method);
    stream.write(framed(Buffer.alloc(100_000)).subarray(0, 5));
    stream.resume();
    expect(await end).toBe(`${status.RESOURCE_EXHAUSTED}`);
    await eventually(() => expect(server.usage().auxiliaryCalls).toBe(0));
  });
});

describe("replies that are made at the same time", () => {
  it("do not mix", async () => {
    const server = await startServer();
    const client = server.client();
    const { position } = await call(client, client.getEvents, read([]));
    const events = Array.from({ length: 50 }, (_, index) =>
      cachedEvent(`$${index}`, { body: Buffer.alloc(1000 + index * 300, 65 + index) }),
    );
    await call(client, client.putEvents, put(events, position));
    const replies = await Promise.all(
      events.map(({ eventId }) => call(client, client.getEvents, read([eventId, "$missing", "$0"]))),
    );
    for (const [index, reply] of replies.entries()) {
      expect(reply.events).toEqual([events[index], events[0]]);
      expect(reply.missingEventIds).toEqual(["$missing"]);
    }
  });
});
