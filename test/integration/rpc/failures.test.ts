import { constants } from "node:http2";
import { status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { CacheError } from "../../../src/core/model/errors.js";
import type { EventStore } from "../../../src/core/model/store.js";
import * as wire from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { eventually } from "../../support/eventually.js";
import { call, failureOf } from "../../support/server/calls.js";
import { expectIdle, open } from "../../support/server/calls-server.js";
import { framed, rawCall } from "../../support/server/raw-call.js";
import { cachedEvent, HOMESERVER, put, read } from "../../support/server/wire.js";
import { decorateStore } from "../../support/store/decorate-store.js";
import { makeMemoryStore } from "../../support/store/store-harness.js";

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

  it("releases the capacity of a cancelled call", async () => {
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
