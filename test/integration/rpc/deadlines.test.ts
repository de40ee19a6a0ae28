import { once } from "node:events";
import { constants } from "node:http2";
import { status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import * as wire from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { eventually } from "../../support/eventually.js";
import { call } from "../../support/server/calls.js";
import {
  ALL_METHODS,
  begin,
  expectIdle,
  startServer,
  startWithAllServices,
} from "../../support/server/open-calls.js";
import { framed, rawCall } from "../../support/server/raw-call.js";
import { cachedEvent, put, read } from "../../support/server/wire.js";

describe("a call whose deadline passes while its client keeps it open", () => {
  it.each(ALL_METHODS)("is over, and releases its capacity: %s", async (method) => {
    const server = await startWithAllServices({ limits: { requestTimeLimitMs: 60_000 } });
    const { end } = begin(server.raw(), method, { "grpc-timeout": "20m" });
    expect(await end).toBe(`${status.DEADLINE_EXCEEDED}`);
    await expectIdle(server);
  });

  it("is over in the middle of a stream as well", async () => {
    const server = await startWithAllServices();
    const { stream, end } = begin(server.raw(), "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", {
      "grpc-timeout": "100m",
    });
    stream.write(framed(Buffer.from("3a00", "hex")));
    await once(stream, "data");
    expect(await end).toBe(`${status.DEADLINE_EXCEEDED}`);
    await expectIdle(server);
  });
});

describe("a call that is reset with the code of no error while its reply waits", () => {
  it.each(["GetEvents", "GetEventsStream"])("is over at once: %s", async (method) => {
    const server = await startServer();
    const client = server.client();
    const { position } = await call(client, client.getEvents, read([]));
    const large = cachedEvent("$large", { body: Buffer.alloc(200_000, 120) });
    await call(client, client.putEvents, put([large], position));
    const request = read(["$large"]);
    const message =
      method === "GetEvents"
        ? wire.GetEventsRequest.encode(request).finish()
        : wire.GetEventsStreamRequest.encode({ requestId: 1n, request }).finish();
    // The client half-closes nothing, and reads nothing.
    const { session } = server.tapped((frame) => frame[3] !== 0 || frame.byteLength > 9);
    await once(session, "remoteSettings");
    session.settings({ initialWindowSize: 0 });
    const { stream } = rawCall(session, method);
    stream.write(framed(message));
    const hasArrived = () => expect(server.usage().bytesInFlight).toBeGreaterThan(message.byteLength);
    await eventually(hasArrived);
    stream.close(constants.NGHTTP2_NO_ERROR);
    await expectIdle(server);
    expect(session.destroyed).toBe(false);
  });
});
