import { once } from "node:events";
import { deflateSync, gzipSync } from "node:zlib";
import { compressionAlgorithms, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
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
import { cachedEvent, put, read } from "../../support/server/wire.js";

describe("a compressed request", () => {
  it.each(ALL_METHODS)("is refused at its headers, with the encoding that is served: %s", async (method) => {
    const server = await startWithAllServices();
    for (const encoding of ["gzip", "deflate", "snappy"]) {
      const { stream, end } = begin(server.raw(), method, { "grpc-encoding": encoding });
      const [headers] = await once(stream, "response");
      expect(headers["grpc-accept-encoding"]).toBe("identity");
      expect(await end).toBe(`${status.UNIMPLEMENTED}`);
    }
    const name = method.split("/").at(-1);
    expect(server.handled).toEqual(Array(3).fill(`${name} ${status.UNIMPLEMENTED}`));
    await expectIdle(server);
  });

  it("that its headers do not announce is refused", async () => {
    const server = await startWithAllServices();
    for (const method of ALL_METHODS) {
      const { stream, end } = begin(server.raw(), method, { "grpc-encoding": "identity" });
      const message = framed(gzipSync(Buffer.alloc(1000)));
      message[0] = 1;
      stream.end(message);
      expect(await end).toBe(`${status.INVALID_ARGUMENT}`);
    }
    await expectIdle(server);
  });

  it("is never inflated: many of them cost no more than their headers", async () => {
    const server = await startServer();
    const session = server.raw();
    const bomb = framed(deflateSync(Buffer.alloc(4_000_000)));
    bomb[0] = 1;
    const before = process.memoryUsage.rss();
    const calls = Array.from({ length: 200 }, () => {
      const { stream, end } = begin(session, "PutEvents", { "grpc-encoding": "deflate" });
      stream.end(bomb);
      return end;
    });
    expect(new Set(await Promise.all(calls))).toEqual(new Set([`${status.UNIMPLEMENTED}`]));
    expect(process.memoryUsage.rss() - before).toBeLessThan(200_000_000);
    await expectIdle(server);
  });

  it("leaves nothing in flight when a client that compresses gives up calls now and then", async () => {
    const server = await startServer();
    const client = new wire.EventCacheServiceClient(
      `127.0.0.1:${server.port}`,
      credentials.createInsecure(),
      { "grpc.default_compression_algorithm": compressionAlgorithms.gzip },
    );
    const body = Buffer.from("hello world ".repeat(18_000));
    const request = put(
      Array.from({ length: 14 }, (_, index) => cachedEvent(`$${index}`, { body })),
      undefined,
    );
    const codes = new Set<number>();
    for (let round = 0; round < 10; round++) {
      const ends = Array.from(
        { length: 4 },
        (_, index) =>
          new Promise<void>((resolve) => {
            const deadline = Date.now() + 5 + 20 * ((round + index) % 12);
            client.putEvents(request, new Metadata(), { deadline }, (error: ServiceError | null) => {
              codes.add(error?.code ?? 0);
              resolve();
            });
          }),
      );
      await Promise.all(ends);
      expect(server.usage().bytesInFlight).toBeGreaterThanOrEqual(0);
    }
    client.close();
    expect(codes).toContain(status.UNIMPLEMENTED);
    await expectIdle(server);
  });

  it("is not invited by any reply", async () => {
    const server = await startServer();
    const { stream, end } = begin(server.raw(), "GetEvents");
    stream.end(framed(wire.GetEventsRequest.encode(read([])).finish()));
    const [headers] = await once(stream, "response");
    expect(headers["grpc-accept-encoding"]).toBe("identity");
    expect(await end).toBe(`${status.OK}`);
  });
});
