import { once } from "node:events";
import { type ClientHttp2Session, constants } from "node:http2";
import { status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import * as wire from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { eventually } from "../../support/eventually.js";
import { call, failureOf } from "../../support/server/calls.js";
import { expectIdle, startWithLargeEvent } from "../../support/server/large-event.js";
import { framed, type RawCall, rawCall } from "../../support/server/raw-call.js";
import { HOMESERVER, read } from "../../support/server/wire.js";

const MIB = 1024 * 1024;

function startRead(session: ClientHttp2Session, homeserver = HOMESERVER): RawCall {
  const started = rawCall(session, "GetEvents");
  started.stream.end(framed(wire.GetEventsRequest.encode(read(["$large"], { homeserver })).finish()));
  return started;
}

describe("a client that never opens its window", () => {
  it("holds no more than the limit of bytes in flight; further calls get a retry delay", async () => {
    const { server, client } = await startWithLargeEvent({ limits: { bytesInFlightMax: MIB } });
    const session = server.raw({ initialWindowSize: 0 });
    const calls = Array.from({ length: 20 }, () => startRead(session));
    // Five replies fit; a failure needs no window.
    const refused = calls.slice(5).map(({ end }) => end);
    expect(new Set(await Promise.all(refused))).toEqual(new Set([`${status.RESOURCE_EXHAUSTED}`]));
    expect(server.usage()).toMatchObject({ callsInFlight: 5 });
    expect(server.usage().bytesInFlight).toBeLessThanOrEqual(MIB);
    expect(await failureOf(call(client, client.getEvents, read(["$large"])))).toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      canRetry: true,
    });
    session.destroy();
    await expectIdle(server);
    expect((await call(client, client.getEvents, read(["$large"]))).events).toHaveLength(1);
  });

  it("is cut off when the server's own time limit has passed, and its capacity is free", async () => {
    const { server, client } = await startWithLargeEvent({ limits: { callTimeLimitMs: 50 } });
    const session = server.raw({ initialWindowSize: 0 });
    const calls = Array.from({ length: 20 }, () => startRead(session));
    const cancelled = `reset ${constants.NGHTTP2_CANCEL}`;
    expect(new Set(await Promise.all(calls.map(({ end }) => end)))).toEqual(new Set([cancelled]));
    await expectIdle(server);
    expect((await call(client, client.getEvents, read(["$large"]))).events).toHaveLength(1);
  });

  it("gets its reply if it opens its window in time", async () => {
    const { server } = await startWithLargeEvent({});
    const session = server.raw({ initialWindowSize: 0 });
    const { stream, end } = startRead(session);
    await eventually(() => expect(server.usage().bytesInFlight).toBeGreaterThan(200_000));
    let received = 0;
    stream.on("data", (bytes: Buffer) => {
      received += bytes.byteLength;
    });
    session.settings({ initialWindowSize: 4 * MIB });
    session.setLocalWindowSize(4 * MIB);
    expect(await end).toBe(`${status.OK}`);
    expect(received).toBeGreaterThan(200_000);
    await expectIdle(server);
  });
});

describe("a peer that takes nothing from its socket any more", () => {
  it("loses its connection soon after the time limit, and its capacity is free", async () => {
    const { server, client } = await startWithLargeEvent({ limits: { callTimeLimitMs: 1000 } });
    const { session, stop } = server.tapped();
    await once(session, "remoteSettings");
    stop();
    const request = framed(wire.GetEventsRequest.encode(read(Array(15).fill("$large"))).finish());
    for (let count = 0; count < 12; count++) rawCall(session, "GetEvents").stream.end(request);
    await eventually(() => expect(server.usage().bytesInFlight).toBeGreaterThan(12 * MIB));
    await expectIdle(server);
    const cancelled = server.handled.filter((call) => call === `GetEvents ${status.CANCELLED}`);
    expect(cancelled.length).toBeGreaterThan(3);
    expect((await call(client, client.getEvents, read(["$large"]))).events).toHaveLength(1);
  });
});
