import { once } from "node:events";
import { type ClientHttp2Session, constants } from "node:http2";
import { deflateSync, gzipSync } from "node:zlib";
import { compressionAlgorithms, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { HealthImplementation } from "grpc-health-check";
import { describe, expect, it } from "vitest";
import * as wire from "../../src/gen/splitcache/v1/event_cache_service.js";
import { addReflection } from "../../src/probes/reflection.js";
import { Drain } from "../../src/rpc/admission/drain.js";
import { eventually } from "../support/eventually.js";
import { call, framed, rawCall, type TestServer, useGrpcServers } from "../support/grpc-server.js";
import { cachedEvent, HOMESERVER, put, read } from "../support/wire.js";

const startServer = useGrpcServers();
const METHODS = ["GetEvents", "PutEvents", "GetEventsStream", "Subscribe"];
const OTHER_METHODS = [
  "/grpc.health.v1.Health/Check",
  "/grpc.health.v1.Health/Watch",
  "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
];
const ALL_METHODS = [...METHODS, ...OTHER_METHODS];

async function startWithAllServices(options: Parameters<typeof startServer>[0] = {}): Promise<TestServer> {
  const server = await startServer(options);
  new HealthImplementation({ "": "SERVING" }).addToServer(server.server);
  addReflection(server.server, { drain: new Drain(), absentServices: [] });
  return server;
}

/** `method` is one of the cache's, or a whole path. */
function begin(session: ClientHttp2Session, method: string, headers = {}) {
  const path = method.startsWith("/") ? { ":path": method } : {};
  const started = rawCall(session, method, { ...path, ...headers });
  started.stream.resume();
  return started;
}

async function expectIdle(server: TestServer): Promise<void> {
  const idle = {
    callsInFlight: 0,
    bytesInFlight: 0,
    readStreams: 0,
    subscriptionBytes: 0,
    auxiliaryCalls: 0,
  };
  await eventually(() => expect(server.usage()).toEqual(idle));
}

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

  it("of a read stream are only those that have begun: one may stay silent", async () => {
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

describe("a call whose deadline passes while its client keeps it open", () => {
  it.each(ALL_METHODS)("is over, and gives back what it took: %s", async (method) => {
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

describe("what a client gets wrong", () => {
  it.each(["", "soon", "5", "5 S", "x5S", "123456789S", "-1S", "5s", "1S, 1S"])(
    "is its own fault, in the answer and in the count: grpc-timeout %j",
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

  it.each(ALL_METHODS)("never counts as our failure: %s", async (method) => {
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

/** Resolves when a session has ended, however. */
function closed(session: ClientHttp2Session): Promise<void> {
  return new Promise((resolve) => session.once("close", resolve));
}

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
