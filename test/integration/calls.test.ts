import { constants } from "node:http2";
import { status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { CacheError } from "../../src/core/model/errors.js";
import type { EventStore } from "../../src/core/model/store.js";
import * as wire from "../../src/gen/splitcache/v1/event_cache_service.js";
import { decorateStore } from "../support/decorate-store.js";
import { eventually } from "../support/eventually.js";
import { call, failureOf, framed, rawCall, type TestServer, useGrpcServers } from "../support/grpc-server.js";
import { makeMemoryStore } from "../support/store-harness.js";
import { cachedEvent, HOMESERVER, put, ROOM_ID, read } from "../support/wire.js";

const startServer = useGrpcServers();

async function open(options: Parameters<typeof startServer>[0] = {}) {
  const server = await startServer(options);
  const client = server.client();
  const get = (request: wire.GetEventsRequest) => call(client, client.getEvents, request);
  const position = async () => (await get(read([]))).position;
  return { server, client, get, position };
}

/** Whatever a test broke, nothing is in flight afterwards. */
async function expectIdle(server: TestServer): Promise<void> {
  await eventually(() =>
    expect(server.usage()).toEqual({
      callsInFlight: 0,
      bytesInFlight: 0,
      readStreams: 0,
      subscriptionBytes: 0,
      auxiliaryCalls: 0,
    }),
  );
}

describe("every call", () => {
  it("stores, reads, redacts, rejects, invalidates and purges", async () => {
    const { server, client, get, position } = await open();
    const events = [cachedEvent("$a", { internalMetadata: Buffer.from([0, 255]) }), cachedEvent("$b")];
    const stored = await call(client, client.putEvents, put(events, await position()));
    expect(stored.outcomes).toEqual([wire.PutOutcome.STORED, wire.PutOutcome.STORED]);
    const first = await call(client, client.putEvent, {
      homeserver: HOMESERVER,
      event: cachedEvent("$c"),
      asOf: stored.position,
    });
    expect(first.outcome).toBe(wire.PutOutcome.STORED);

    const hits = await get(read(["$a", "$nowhere", "$b", "$a"]));
    expect(hits.events).toEqual([events[0], events[1], events[0]]);
    expect(hits.missingEventIds).toEqual(["$nowhere"]);

    const redacted = await call(client, client.setRedaction, {
      homeserver: HOMESERVER,
      roomId: "",
      eventId: "$a",
      redaction: { redactedBy: "$redaction", redactedBody: Buffer.from("{}") },
      asOf: hits.position,
    });
    expect(redacted.outcome).toBe(wire.SetOutcome.APPLIED);
    const shown = await get(read(["$a"]));
    expect(shown.events[0]?.body.toString()).toBe("{}");
    expect(shown.events[0]?.redaction).toEqual({ redactedBy: "$redaction", redactedBody: Buffer.alloc(0) });
    const original = await get(read(["$a"], { redactionView: wire.RedactionView.ORIGINAL }));
    expect(original.events[0]?.body).toEqual(events[0]?.body);
    expect(original.events[0]?.redaction?.redactedBody.toString()).toBe("{}");

    const rejected = await call(client, client.setRejected, {
      homeserver: HOMESERVER,
      roomId: ROOM_ID,
      eventId: "$b",
      rejected: true,
      rejectedReason: "not allowed",
      asOf: redacted.position,
    });
    expect(rejected.outcome).toBe(wire.SetOutcome.APPLIED);
    expect((await get(read(["$b"]))).events[0]).toMatchObject({
      rejected: true,
      rejectedReason: "not allowed",
    });

    await call(client, client.invalidateEvents, { homeserver: HOMESERVER, roomId: "", eventIds: ["$c"] });
    expect((await get(read(["$a", "$c"]))).missingEventIds).toEqual(["$c"]);
    await call(client, client.purgeRoom, { homeserver: HOMESERVER, roomId: ROOM_ID });
    expect((await get(read(["$a", "$b"]))).missingEventIds).toEqual(["$a", "$b"]);
    const purged = await call(client, client.purgeHomeserver, {
      homeserver: HOMESERVER,
      newEpoch: false,
    });
    expect(purged.position?.sequence).toBe(5n);
    await expectIdle(server);
  });

  it("tells the observer how each call ended, also of those that grpc-js ends itself", async () => {
    const { server, client, get } = await open();
    await get(read([]));
    await failureOf(get(read([], { homeserver: "" })));
    await failureOf(
      call(client, client.putEvents, put([cachedEvent("$big", { body: Buffer.alloc(5 << 20) })], undefined)),
    );
    await eventually(() => expect(server.handled).toEqual(["GetEvents 0", "GetEvents 3", "PutEvents 8"]));
  });
});

describe("bad input", () => {
  it("names every bad field of a read, and refuses 501 IDs", async () => {
    const { get } = await open();
    const ids = Array.from({ length: 501 }, (_, index) => `$${index}`);
    expect(await failureOf(get(read(ids, { homeserver: "" })))).toMatchObject({
      code: status.INVALID_ARGUMENT,
      fields: ["homeserver", "event_ids"],
      canRetry: false,
    });
    expect(await failureOf(get(read(["$ok", "", "x".repeat(1021)])))).toMatchObject({
      fields: ["event_ids[1]", "event_ids[2]"],
    });
    expect(await failureOf(get(read([], { homeserver: "h".repeat(256) })))).toMatchObject({
      fields: ["homeserver"],
    });
    expect((await get(read(ids.slice(0, 500)))).missingEventIds).toHaveLength(500);
  });

  it("answers once per mention, and an empty list with the position alone", async () => {
    const { get } = await open();
    expect((await get(read(["$a", "$a"]))).missingEventIds).toEqual(["$a", "$a"]);
    const empty = await get(read([]));
    expect(empty.position?.epoch.byteLength).toBe(16);
    expect([empty.events, empty.missingEventIds, empty.truncatedEventIds]).toEqual([[], [], []]);
  });

  it("refuses a put without as_of, without room ID or with a body of 262,145 bytes, and stores nothing of it", async () => {
    const { client, get, position } = await open();
    const asOf = await position();
    const putEvents = (request: wire.PutEventsRequest) => call(client, client.putEvents, request);
    expect(await failureOf(putEvents(put([cachedEvent("$a")], undefined)))).toMatchObject({
      code: status.INVALID_ARGUMENT,
      fields: ["as_of"],
    });
    const bad = [
      cachedEvent("$a"),
      cachedEvent("$b", { roomId: "" }),
      cachedEvent("$c", { body: Buffer.alloc(262_145) }),
    ];
    expect(await failureOf(putEvents(put(bad, asOf)))).toMatchObject({
      fields: ["events[1].room_id", "events[2].body"],
    });
    expect((await get(read(["$a"]))).missingEventIds).toEqual(["$a"]);
    const largest = cachedEvent("$d", { body: Buffer.alloc(262_144, 120) });
    expect((await putEvents(put([largest], asOf))).outcomes).toEqual([wire.PutOutcome.STORED]);
  });

  it("refuses an empty epoch, and says WRONG_EPOCH to an unknown one and to a sequence ahead of the log", async () => {
    const { client, position } = await open();
    const epoch = (await position())!.epoch;
    const putAsOf = (asOf: wire.Position) => call(client, client.putEvents, put([cachedEvent("$a")], asOf));
    expect(await failureOf(putAsOf({ epoch: Buffer.alloc(0), sequence: 0n }))).toMatchObject({
      code: status.INVALID_ARGUMENT,
      fields: ["as_of.epoch"],
    });
    for (const asOf of [
      { epoch: Buffer.alloc(16, 7), sequence: 0n },
      { epoch, sequence: 1n },
      { epoch, sequence: 2n ** 64n - 1n },
    ]) {
      expect((await putAsOf(asOf)).outcomes).toEqual([wire.PutOutcome.WRONG_EPOCH]);
    }
  });

  it("answers ABSENT to a redaction of an event that is not there", async () => {
    const { client } = await open();
    const redaction = { redactedBy: "$redaction", redactedBody: Buffer.alloc(0) };
    const request = { homeserver: HOMESERVER, roomId: "", eventId: "$nowhere", redaction, asOf: undefined };
    expect((await call(client, client.setRedaction, request)).outcome).toBe(wire.SetOutcome.ABSENT);
  });

  it("keeps IDs apart that are __proto__, hold NUL or start with a BOM", async () => {
    const { client, get, position } = await open();
    const ids = ["__proto__", "constructor", "$\0", "$", "\uFEFF$", "$\uFFFD"];
    const events = ids.map((id) => cachedEvent(id));
    await call(client, client.putEvents, put(events, await position()));
    expect((await get(read(ids))).events).toEqual(events);
  });

  it("refuses a request over 4 MiB without RetryInfo", async () => {
    const { client } = await open();
    const tooLarge = put([cachedEvent("$a", { body: Buffer.alloc(4 << 20) })], undefined);
    expect(await failureOf(call(client, client.putEvents, tooLarge))).toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      canRetry: false,
    });
  });

  it("refuses rubbish instead of protobuf, and strings that are not UTF-8, as INVALID_ARGUMENT", async () => {
    const { server } = await open();
    const session = server.raw();
    const messages = [
      Buffer.from([0xff, 0xff, 0xff]),
      Buffer.from([0x00]),
      Buffer.from([0x0a, 0x05, 0x61]),
      Buffer.from([0x0a, 0x02, 0x24, 0xff]),
      Buffer.from([0x12, 0x03, 0xed, 0xa0, 0x80]),
    ];
    for (const message of messages) {
      const { stream, end } = rawCall(session, "GetEvents");
      stream.end(framed(message));
      stream.resume();
      expect(await end).toBe(`${status.INVALID_ARGUMENT}`);
    }
    await expectIdle(server);
  });

  it("refuses a homeserver that is not on the list", async () => {
    const { get } = await open({ allowedHomeservers: new Set([HOMESERVER]) });
    expect((await get(read([]))).position).toBeDefined();
    expect(await failureOf(get(read([], { homeserver: "other.example" })))).toMatchObject({
      code: status.INVALID_ARGUMENT,
      fields: ["homeserver"],
    });
  });

  it("says that 16 fields are bad when 500 are, in less than 4 KiB", async () => {
    const { client } = await open();
    const events = Array.from({ length: 500 }, () => wire.CachedEvent.create());
    const failure = await failureOf(call(client, client.putEvents, put(events, undefined)));
    expect(failure.fields).toHaveLength(16);
    expect(failure.fields[0]).toBe("events[0].event_id");
  });
});

describe("errors", () => {
  const storeThat = (changes: Partial<EventStore>) => decorateStore(makeMemoryStore().store, changes);

  it("hides an unexpected failure behind a fixed sentence and logs it", async () => {
    const secret = new Error("the secret is 42 \uD800");
    const { server, get } = await open({ store: storeThat({ getEvents: () => Promise.reject(secret) }) });
    const failure = await failureOf(get(read([])));
    expect(failure).toMatchObject({ code: status.INTERNAL, canRetry: false });
    expect(failure.message).not.toContain("42");
    expect(server.errors).toEqual([secret]);
  });

  it("passes on that the store is lost or full", async () => {
    const lost = new CacheError("unavailable", "the store is lost \uD800");
    const full = new CacheError("exhausted", "too many homeservers", { retryDelayMs: 2000 });
    const { client, get } = await open({
      store: storeThat({
        getEvents: () => Promise.reject(lost),
        purgeHomeserver: () => Promise.reject(full),
      }),
    });
    expect(await failureOf(get(read([])))).toMatchObject({ code: status.UNAVAILABLE });
    expect(
      await failureOf(call(client, client.purgeHomeserver, { homeserver: HOMESERVER, newEpoch: false })),
    ).toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      canRetry: true,
    });
  });

  it("does nothing for a call whose deadline passed before its handler started", async () => {
    const calls: string[] = [];
    const purgeHomeserver = async () => {
      calls.push("purge");
      throw new CacheError("internal", "unexpected");
    };
    const { server } = await open({ store: storeThat({ purgeHomeserver }) });
    const session = server.raw();
    const stream = session.request({
      ":method": "POST",
      ":path": "/splitcache.v1.EventCacheService/PurgeHomeserver",
      "content-type": "application/grpc",
      te: "trailers",
      "grpc-timeout": "1n",
    });
    const grpcStatus = new Promise((resolve) =>
      stream.on("response", (headers) => resolve(headers["grpc-status"])),
    );
    stream.end(
      framed(wire.PurgeHomeserverRequest.encode({ homeserver: HOMESERVER, newEpoch: false }).finish()),
    );
    expect(await grpcStatus).toBe(`${status.DEADLINE_EXCEEDED}`);
    await expectIdle(server);
    expect(calls).toEqual([]);
    expect(server.handled).toEqual([`PurgeHomeserver ${status.DEADLINE_EXCEEDED}`]);
  });

  it("does nothing for a call that its client cancelled before the request was complete", async () => {
    const calls: string[] = [];
    const purgeHomeserver = async () => {
      calls.push("purge");
      throw new CacheError("internal", "unexpected");
    };
    const { server } = await open({ store: storeThat({ purgeHomeserver }) });
    // Node's own client ends a stream before it resets it; others do not.
    const isEndOfStream = (frame: Buffer) => frame.byteLength === 9 && frame[3] === 0 && frame[4] === 1;
    const { session } = server.tapped((frame) => !isEndOfStream(frame));
    const { stream } = rawCall(session, "PurgeHomeserver");
    stream.write(
      framed(wire.PurgeHomeserverRequest.encode({ homeserver: HOMESERVER, newEpoch: false }).finish()),
    );
    await eventually(() => expect(server.usage().bytesInFlight).toBeGreaterThan(0));
    stream.close(constants.NGHTTP2_CANCEL);
    await expectIdle(server);
    expect(server.handled).toEqual([`PurgeHomeserver ${status.CANCELLED}`]);
    expect(calls).toEqual([]);
  });

  it("refuses new calls while it drains, and finishes those in flight", async () => {
    let finish: (() => void) | undefined;
    const held = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const { store } = makeMemoryStore();
    const slow = storeThat({
      getEvents: async (request, take) => {
        await held;
        await store.getEvents(request, take);
      },
    });
    const { server, client, get } = await open({ store: slow });
    const inFlight = get(read(["$a"]));
    await eventually(() => expect(server.usage().callsInFlight).toBe(1));
    server.drain();
    expect(
      await failureOf(call(client, client.purgeHomeserver, { homeserver: HOMESERVER, newEpoch: false })),
    ).toMatchObject({
      code: status.UNAVAILABLE,
    });
    finish?.();
    expect((await inFlight).missingEventIds).toEqual(["$a"]);
    await expectIdle(server);
    await store.close();
  });

  it("gives back what a cancelled call held", async () => {
    const { server, client } = await open({ store: storeThat({ getEvents: () => new Promise(() => {}) }) });
    const pending = client.getEvents(read(["$a"]), () => {});
    await eventually(() => expect(server.usage().callsInFlight).toBe(1));
    pending.cancel();
    await expectIdle(server);
    expect(server.handled).toEqual([`GetEvents ${status.CANCELLED}`]);
  });

  it("truncates a reply that would be too large, in order, and all of it can be fetched by asking again", async () => {
    const { client, get, position } = await open();
    const asOf = await position();
    const events = Array.from({ length: 40 }, (_, index) =>
      cachedEvent(`$${index}`, { body: Buffer.alloc(200_000, 97 + (index % 26)) }),
    );
    for (const event of events) await call(client, client.putEvents, put([event], asOf));
    let wanted = ["$missing", ...events.map(({ eventId }) => eventId)];
    const found: string[] = [];
    while (wanted.length > 0) {
      const reply = await get(read(wanted));
      expect(wire.GetEventsResponse.encode(reply).finish().byteLength).toBeLessThanOrEqual(3.5 * 1024 * 1024);
      expect(reply.events.length).toBeGreaterThan(0);
      found.push(...reply.events.map(({ eventId }) => eventId));
      wanted = reply.truncatedEventIds;
    }
    expect(found).toEqual(events.map(({ eventId }) => eventId));
  });
});
