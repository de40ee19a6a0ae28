import { status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import * as wire from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { call, failureOf } from "../../support/server/calls.js";
import { expectIdle, open } from "../../support/server/calls-server.js";
import { framed, rawCall } from "../../support/server/raw-call.js";
import { cachedEvent, HOMESERVER, put, read } from "../../support/server/wire.js";

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

  it("refuses bytes that are not protobuf, and strings that are not UTF-8, as INVALID_ARGUMENT", async () => {
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
