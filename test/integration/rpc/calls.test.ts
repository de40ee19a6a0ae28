import { describe, expect, it } from "vitest";
import * as wire from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { eventually } from "../../support/eventually.js";
import { call, failureOf } from "../../support/server/calls.js";
import { expectIdle, open } from "../../support/server/calls-server.js";
import { cachedEvent, HOMESERVER, put, ROOM_ID, read } from "../../support/server/wire.js";

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

  it("reports to the observer how each call ended, also calls that grpc-js ends itself", async () => {
    const { server, client, get } = await open();
    await get(read([]));
    await failureOf(get(read([], { homeserver: "" })));
    await failureOf(
      call(client, client.putEvents, put([cachedEvent("$big", { body: Buffer.alloc(5 << 20) })], undefined)),
    );
    await eventually(() => expect(server.handled).toEqual(["GetEvents 0", "GetEvents 3", "PutEvents 8"]));
  });
});
