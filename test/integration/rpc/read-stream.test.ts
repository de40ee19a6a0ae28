import { status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import type { EventId } from "../../../src/core/model/types.js";
import * as wire from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { READ_AHEAD_MAX } from "../../../src/rpc/limits.js";
import { eventually } from "../../support/eventually.js";
import { call } from "../../support/server/calls.js";
import { framed, rawCall } from "../../support/server/raw-call.js";
import { expectIdle, heldStore, open } from "../../support/server/read-stream.js";
import { read } from "../../support/server/wire.js";
import { decorateStore } from "../../support/store/decorate-store.js";
import { makeMemoryStore } from "../../support/store/store-harness.js";

describe("a read stream", () => {
  it("answers each request under its ID, and ends OK when the client half-closes", async () => {
    const { server, openReader } = await open();
    const reader = openReader();
    const ids = [0n, 1n, 2n ** 64n - 1n, 300n];
    for (const id of ids) reader.ask(id, ["$a", `$${id}`]);
    reader.stream.end();
    await eventually(() => expect(reader.end).toBe(status.OK));
    expect([...reader.replies.keys()]).toEqual(ids);
    for (const id of ids) {
      const result = reader.replies.get(id);
      expect(result).toMatchObject({ $case: "response", value: { missingEventIds: [`$${id}`] } });
      expect(reader.hits(id)).toEqual(["$a"]);
    }
    await expectIdle(server);
  });

  it("carries more requests at once than it reads ahead, and lets an ID be used again once it is answered", async () => {
    const { server, openReader } = await open();
    const reader = openReader();
    for (let round = 0; round < 3; round++) {
      reader.replies.clear();
      for (let id = 0n; id < 200n; id++) reader.ask(id, [id % 2n === 0n ? "$a" : "$b"]);
      await eventually(() => expect(reader.replies.size).toBe(200));
      for (let id = 0n; id < 200n; id++) expect(reader.hits(id)).toEqual([id % 2n === 0n ? "$a" : "$b"]);
    }
    reader.stream.end();
    await eventually(() => expect(reader.end).toBe(status.OK));
    await expectIdle(server);
  });

  it("ends one bad request with its failure, and answers the next", async () => {
    const { openReader } = await open();
    const reader = openReader();
    reader.ask(1n, ["$a", ""], { homeserver: "" });
    reader.stream.write({ requestId: 2n, request: undefined });
    reader.ask(3n, ["$b"]);
    await eventually(() => expect(reader.replies.size).toBe(3));
    expect(reader.failure(1n)).toMatchObject({
      code: status.INVALID_ARGUMENT,
      fields: ["homeserver", "event_ids[1]"],
    });
    expect(reader.failure(2n)?.fields).toContain("request");
    expect(reader.hits(3n)).toEqual(["$b"]);
    reader.stream.cancel();
  });

  it("counts a request_id as in flight until its reply has left", async () => {
    const { server } = await open();
    const session = server.raw({ initialWindowSize: 0 });
    const { stream, end } = rawCall(session, "GetEventsStream");
    const request = framed(
      wire.GetEventsStreamRequest.encode({ requestId: 1n, request: read(["$large"]) }).finish(),
    );
    stream.write(request);
    await eventually(() => expect(server.usage().bytesInFlight).toBeGreaterThan(200_000));
    stream.write(request);
    await eventually(() => expect(server.usage().bytesInFlight).toBeLessThan(200_000));
    stream.resume();
    session.settings({ initialWindowSize: 1_000_000 });
    session.setLocalWindowSize(1_000_000);
    expect(await end).toBe(`${status.INVALID_ARGUMENT}`);
    await expectIdle(server);
  });

  it("answers reads that need not wait one after the other beside a read that waits", async () => {
    const { store } = makeMemoryStore();
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    const partlySlow = decorateStore(store, {
      getEvents: (request, take) =>
        request.eventIds.includes("$large" as EventId)
          ? released.then(() => store.getEvents(request, take))
          : store.getEvents(request, take),
    });
    const { server, openReader } = await open({ store: partlySlow });
    const reader = openReader();
    reader.ask(1n, ["$large"]);
    for (let id = 2n; id <= 5n; id++) reader.ask(id, ["$a", "$b"]);
    await eventually(() => expect(reader.replies.size).toBe(4));
    expect([...reader.replies.keys()]).toEqual([2n, 3n, 4n, 5n]);
    release();
    await eventually(() => expect(reader.hits(1n)).toEqual(["$large"]));
    reader.stream.cancel();
    await expectIdle(server);
  });

  it("ends with INVALID_ARGUMENT when a request_id is still in flight", async () => {
    const { held, release } = heldStore();
    const { server, openReader } = await open({ store: held });
    const reader = openReader();
    reader.ask(1n, ["$a"]);
    reader.ask(2n, ["$a"]);
    reader.ask(2n, ["$a"]);
    await eventually(() => expect(reader.end).toBe(status.INVALID_ARGUMENT));
    release();
    await expectIdle(server);
  });

  it("ends with INVALID_ARGUMENT if a request is not valid protobuf", async () => {
    const { server } = await open();
    const { stream, end } = rawCall(server.raw(), "GetEventsStream");
    stream.write(framed(Buffer.from([0x12, 0x05, 0x0a])));
    stream.resume();
    expect(await end).toBe(`${status.INVALID_ARGUMENT}`);
    await expectIdle(server);
  });

  it("answers what it accepted when the server drains, then ends UNAVAILABLE", async () => {
    const { held, release } = heldStore();
    const { server, openReader } = await open({ store: held });
    const reader = openReader();
    const idle = openReader();
    reader.ask(1n, ["$a"]);
    reader.ask(2n, ["$b"]);
    const requestBytes = wire.GetEventsStreamRequest.encode({
      requestId: 1n,
      request: read(["$a"]),
    }).finish();
    await eventually(() => expect(server.usage().bytesInFlight).toBe(2 * requestBytes.byteLength));
    server.drain();
    await eventually(() => expect(idle.end).toBe(status.UNAVAILABLE));
    release();
    await eventually(() => expect(reader.end).toBe(status.UNAVAILABLE));
    expect([reader.hits(1n), reader.hits(2n)]).toEqual([["$a"], ["$b"]]);
    await expectIdle(server);
  });

  it("ends UNAVAILABLE, not OK, if it left a request unanswered that arrived during the drain", async () => {
    const { held, release } = heldStore();
    const { server, client, openReader } = await open({ store: held });
    const reader = openReader();
    reader.ask(1n, ["$a"]);
    await eventually(() => expect(server.usage().bytesInFlight).toBeGreaterThan(0));
    server.drain();
    reader.ask(2n, ["$b"]);
    reader.stream.end();
    // Is refused, and its refusal comes after the server has read the request and the half-close.
    await expect(call(client, client.getEvents, read([]))).rejects.toMatchObject({
      code: status.UNAVAILABLE,
    });
    release();
    await eventually(() => expect(reader.end).toBe(status.UNAVAILABLE));
    expect([reader.hits(1n), reader.replies.has(2n)]).toEqual([["$a"], false]);
    await expectIdle(server);
  });

  it("ends once it has been drained, even if the drain was over before it could end", async () => {
    const { held, release } = heldStore();
    const { server, client, openReader } = await open({ store: held });
    const reader = openReader();
    reader.ask(1n, ["$a"]);
    await eventually(() => expect(server.usage().bytesInFlight).toBeGreaterThan(0));
    server.drain();
    server.endDrain();
    release();
    await eventually(() => expect(reader.end).toBe(status.UNAVAILABLE));
    expect(reader.hits(1n)).toEqual(["$a"]);
    await call(client, client.getEvents, read([]));
    await expectIdle(server);
  });

  it("reads no more ahead than its bound", async () => {
    const { held, release } = heldStore();
    const { server, client, openReader } = await open({ store: held });
    const reader = openReader();
    const ids = Array.from({ length: 20 }, (_, index) => `$${index}`.padEnd(1000, "x"));
    const requestBytes = wire.GetEventsStreamRequest.encode({ requestId: 1n, request: read(ids) }).finish()
      .byteLength;
    for (let id = 0n; id < 200n; id++) reader.ask(id, ids);
    // The numbers of the first requests take a byte less.
    await eventually(() =>
      expect(server.usage().bytesInFlight).toBeGreaterThanOrEqual(
        READ_AHEAD_MAX * requestBytes - READ_AHEAD_MAX,
      ),
    );
    for (let turn = 0; turn < 20; turn++) await call(client, client.getEvents, read([]));
    // What fits into the window of the HTTP/2 stream has arrived as well.
    expect(server.usage().bytesInFlight).toBeLessThan(READ_AHEAD_MAX * requestBytes + 2 * 65_536);
    release();
    await eventually(() => expect(reader.replies.size).toBe(200));
    reader.stream.cancel();
    await expectIdle(server);
  });

  it("leaves nothing when the client cancels while its requests wait", async () => {
    const { held } = heldStore();
    const { server, openReader } = await open({ store: held });
    const reader = openReader();
    for (let id = 0n; id < 20n; id++) reader.ask(id, ["$a"]);
    await eventually(() => expect(server.usage().bytesInFlight).toBeGreaterThan(0));
    reader.stream.cancel();
    await eventually(() => expect(server.usage().readStreams).toBe(0));
  });

  it("is refused with RetryInfo when there are too many", async () => {
    const { server, openReader } = await open({ limits: { readStreamsMax: 1 } });
    const first = openReader();
    await eventually(() => expect(server.usage().readStreams).toBe(1));
    const second = openReader();
    await eventually(() => expect(second.end).toBe(status.RESOURCE_EXHAUSTED));
    first.stream.cancel();
    await expectIdle(server);
  });

  it("fails a request whose reply has no room, and answers the next", async () => {
    const { server, openReader } = await open({ limits: { bytesInFlightMax: 210_000 } });
    const reader = openReader();
    reader.ask(1n, ["$large", "$large"]);
    reader.ask(2n, ["$large"]);
    await eventually(() => expect(reader.replies.size).toBe(2));
    expect(reader.failure(1n)).toMatchObject({ code: status.RESOURCE_EXHAUSTED, canRetry: true });
    expect(reader.hits(2n)).toEqual(["$large"]);
    reader.stream.cancel();
    await expectIdle(server);
  });
});
