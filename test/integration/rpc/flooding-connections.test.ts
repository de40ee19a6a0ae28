import { once } from "node:events";
import { type ClientHttp2Session, constants } from "node:http2";
import { status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import * as wire from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { eventually } from "../../support/eventually.js";
import { call } from "../../support/server/calls.js";
import { begin, closed, expectIdle, startServer } from "../../support/server/open-calls.js";
import { framed, rawCall } from "../../support/server/raw-call.js";
import { read } from "../../support/server/wire.js";

/** Does something over and over, until the connection is gone; fails if it outlives that. */
async function flood(session: ClientHttp2Session, act: (count: number) => unknown): Promise<void> {
  const gone = closed(session);
  for (let count = 0; count < 10_000 && !session.destroyed && !session.closed; count++) {
    try {
      await act(count);
    } catch {
      // The connection was ended meanwhile.
      break;
    }
    if (count % 100 === 99) await new Promise((resolve) => setImmediate(resolve));
  }
  await gone;
}

describe("a connection that floods", () => {
  const requests = Array.from({ length: 300 }, (_, index) => {
    const request = { requestId: BigInt(index), request: undefined };
    return framed(wire.GetEventsStreamRequest.encode(request).finish());
  });

  it.each([
    ["while it is read", "PutEvents", Buffer.alloc(0)],
    ["while it waits for replies that nobody reads", "GetEventsStream", Buffer.concat(requests)],
  ])("a request with tiny frames, %s, is ended, and others are served", async (_when, method, before) => {
    const server = await startServer();
    const session = server.raw({ initialWindowSize: 0 });
    const { stream } = rawCall(session, method);
    // Each in a frame of its own.
    const write = (bytes: Buffer | string) =>
      new Promise<void>((resolve) => stream.write(bytes, () => resolve()));
    if (before.byteLength > 0) await write(before);
    await write(framed(Buffer.alloc(60_000)).subarray(0, 6));
    await flood(session, () => Promise.race([write("x"), closed(session)]));
    expect(server.floods).toEqual(["tiny_data"]);
    const client = server.client();
    await call(client, client.getEvents, read([]));
    await expectIdle(server);
  });

  it.each([
    ["a method that does not exist", { ":path": "/splitcache.v1.EventCacheService/Nothing" }],
    ["a service that does not exist", { ":path": "/nothing/Nothing" }],
    ["another content type", { "content-type": "text/plain" }],
  ])("the server with calls of %s is ended", async (_what, headers) => {
    const server = await startServer();
    const session = server.raw();
    const goaway = new Promise((resolve) => session.once("goaway", resolve));
    for (let count = 0; count < 50; count++) begin(session, "GetEvents", headers).stream.end();
    await begin(session, "GetEvents", headers).end;
    expect(server.floods).toEqual([]);
    await flood(session, () => begin(session, "GetEvents", headers));
    expect(await goaway).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    expect(server.floods).toEqual(["unknown_method"]);
    const client = server.client();
    await call(client, client.getEvents, read([]));
  });

  it("the server with calls that it resets is ended before Node.js does it", async () => {
    const server = await startServer();
    // Node.js as a client half-closes a call before it resets it.
    const isData = (frame: Buffer) => frame[3] === 0;
    const { session } = server.tapped((frame) => !isData(frame));
    await flood(session, async (count) => {
      const calls = Array.from({ length: 50 }, () => begin(session, "GetEvents"));
      const begun = 50 * (count + 1);
      await eventually(() => expect(session.closed || server.started.length >= begun).toBe(true));
      for (const { stream } of calls) stream.close(constants.NGHTTP2_CANCEL);
    });
    expect(server.floods).toEqual(["reset_call"]);
    await expectIdle(server);
  });

  it("is not one whose messages are small, or come in a head and a body, or are cancelled now and then", async () => {
    const server = await startServer();
    const session = server.raw();
    const message = framed(wire.GetEventsStreamRequest.encode({ requestId: 1n, request: read([]) }).finish());
    const { stream, end } = rawCall(session, "GetEventsStream");
    for (let count = 0; count < 3000; count++) {
      stream.write(message.subarray(0, 5));
      stream.write(message.subarray(5));
      await once(stream, "data");
    }
    stream.end();
    expect(await end).toBe(`${status.OK}`);
    for (let count = 0; count < 100; count++) {
      begin(session, "GetEvents").stream.close(constants.NGHTTP2_CANCEL);
    }
    await expectIdle(server);
    expect(server.floods).toEqual([]);
    expect(session.destroyed).toBe(false);
  });
});
