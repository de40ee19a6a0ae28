import { once } from "node:events";
import { constants } from "node:http2";
import { type ClientReadableStream, type ServiceError, status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import * as wire from "../../src/gen/splitcache/v1/event_cache_service.js";
import { eventually } from "../support/eventually.js";
import {
  call,
  describeError,
  framed,
  rawCall,
  type TestServer,
  useGrpcServers,
} from "../support/grpc-server.js";
import { homeserver, makeMemoryStore } from "../support/store-harness.js";
import { HOMESERVER } from "../support/wire.js";

const startServer = useGrpcServers();

const HOUR_MS = 3_600_000;

const request = framed(
  wire.SubscribeRequest.encode(wire.SubscribeRequest.create({ homeserver: HOMESERVER })).finish(),
);

type Frame = NonNullable<wire.SubscribeResponse["frame"]>;

/** A subscriber that notes all that comes but signs of life. */
class Subscriber {
  readonly frames: Frame[] = [];
  progressCount = 0;
  error: ServiceError | undefined;
  readonly #stream: ClientReadableStream<wire.SubscribeResponse>;

  constructor(stream: ClientReadableStream<wire.SubscribeResponse>) {
    this.#stream = stream;
    stream.on("data", ({ frame }: wire.SubscribeResponse) => {
      if (frame?.$case === "progress") this.progressCount += 1;
      else if (frame !== undefined) this.frames.push(frame);
    });
    stream.on("error", (error: ServiceError) => {
      this.error = error;
    });
  }

  get kinds(): string[] {
    return this.frames.map(({ $case }) => $case);
  }

  /** The sequence numbers of all notices. */
  get sequences(): number[] {
    return this.frames.flatMap((frame) =>
      frame.$case === "batch" ? frame.value.notices.map(({ sequence }) => Number(sequence)) : [],
    );
  }

  cancel(): void {
    this.#stream.cancel();
  }
}

function subscribe(
  client: ReturnType<TestServer["client"]>,
  resumeAfter?: wire.Position,
  homeserverName = HOMESERVER,
): Subscriber {
  return new Subscriber(
    client.subscribe({ homeserver: homeserverName, resumeAfter, subscriber: "worker\n1" }),
  );
}

async function open(options: Parameters<typeof startServer>[0] = {}) {
  const server = await startServer(options);
  const client = server.client();
  const invalidate = (eventIds: string[]) =>
    call(client, client.invalidateEvents, { homeserver: HOMESERVER, roomId: "", eventIds });
  return { server, client, invalidate };
}

function subscribers(server: TestServer): number {
  return server.store.stats().homeservers.get(homeserver(HOMESERVER))?.subscribers ?? 0;
}

async function expectNoSubscribers(server: TestServer): Promise<void> {
  await eventually(() => expect([subscribers(server), server.usage().subscriptionBytes]).toEqual([0, 0]));
}

describe("a subscription", () => {
  it("starts with Ready, carries every kind of change, and shows signs of life", async () => {
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

  it("is told that the server goes away, and ends UNAVAILABLE; new ones are refused", async () => {
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
  it("leaves nothing when it cancels, before any sign of life is due", async () => {
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

  it("delays nobody, and gets what it missed when it reads again", async () => {
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

  it("is not cut off while only signs of life are due", async () => {
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
    // Those that wait have no place in the store.
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
