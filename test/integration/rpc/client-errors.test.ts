import { once } from "node:events";
import { constants } from "node:http2";
import { status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import * as wire from "../../../src/gen/splitcache/v1/event_cache_service.js";
import {
  ALL_METHODS,
  begin,
  expectIdle,
  startServer,
  startWithAllServices,
} from "../../support/server/open-calls.js";
import { framed } from "../../support/server/raw-call.js";
import { read } from "../../support/server/wire.js";

describe("an error of the client", () => {
  it.each(["", "soon", "5", "5 S", "x5S", "123456789S", "-1S", "5s", "1S, 1S"])(
    "is answered and counted as its own: grpc-timeout %j",
    async (timeout) => {
      const server = await startServer();
      const { stream, end } = begin(server.raw(), "GetEvents", { "grpc-timeout": timeout });
      stream.end(framed(wire.GetEventsRequest.encode(read([])).finish()));
      expect(await end).toBe(`${status.INVALID_ARGUMENT}`);
      expect(server.handled).toEqual([`GetEvents ${status.INVALID_ARGUMENT}`]);
    },
  );

  it.each(["99999999H", "3000000S", "2592000S", "99999999M", "99999999m", "1S"])(
    "is not a long timeout: %s",
    async (timeout) => {
      const server = await startServer();
      const { stream, end } = begin(server.raw(), "GetEvents", { "grpc-timeout": timeout });
      stream.end(framed(wire.GetEventsRequest.encode(read([])).finish()));
      expect(await end).toBe(`${status.OK}`);
    },
  );

  it.each(ALL_METHODS)("is a request that ends in the middle of a message: %s", async (method) => {
    const server = await startWithAllServices();
    const { stream, end } = begin(server.raw(), method);
    stream.end(framed(Buffer.alloc(100)).subarray(0, 50));
    expect(await end).toBe(`${status.INVALID_ARGUMENT}`);
    await expectIdle(server);
  });

  it.each(ALL_METHODS)("is a message whose length is above the limit: %s", async (method) => {
    const server = await startWithAllServices();
    const { stream, end } = begin(server.raw(), method);
    stream.write(Buffer.from([0, 0xff, 0xff, 0xff, 0xff]));
    expect(await end).toBe(`${status.RESOURCE_EXHAUSTED}`);
    await expectIdle(server);
  });

  it.each(ALL_METHODS)("never counts as a failure of the server: %s", async (method) => {
    const server = await startWithAllServices();
    const bodies = [
      Buffer.alloc(0),
      framed(Buffer.from("ffffffff", "hex")),
      framed(Buffer.from("0a05", "hex")),
      Buffer.concat([framed(Buffer.alloc(0)), framed(Buffer.alloc(0))]),
    ];
    const headers = [
      {},
      { "grpc-timeout": "x" },
      { "content-type": "application/grpc+json" },
      { "x-bin": "!!!" },
    ];
    for (const body of bodies) {
      for (const extra of headers) {
        const { stream, end } = begin(server.raw(), method, extra);
        stream.end(body);
        expect(["0", "3", "5", "8", "12", "14"]).toContain(await Promise.race([end, ended(stream)]));
        stream.close(constants.NGHTTP2_CANCEL);
      }
    }
    expect(server.handled.filter((one) => one.endsWith(` ${status.INTERNAL}`))).toEqual([]);
    expect(server.errors).toEqual([]);
    await expectIdle(server);
  });
});

/** A stream that is answered and stays open, as a watch does, has no end to wait for. */
async function ended(stream: ReturnType<typeof begin>["stream"]): Promise<string> {
  await once(stream, "data");
  return "0";
}
