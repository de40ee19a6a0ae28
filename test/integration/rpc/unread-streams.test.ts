import { constants } from "node:http2";
import { describe, expect, it } from "vitest";
import * as wire from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { eventually } from "../../support/eventually.js";
import { framed, rawCall } from "../../support/server/raw-call.js";
import { expectIdle, open } from "../../support/server/read-stream.js";
import { read } from "../../support/server/wire.js";
import { decorateStore } from "../../support/store/decorate-store.js";
import { makeMemoryStore } from "../../support/store/store-harness.js";

describe("a client that does not read its replies", () => {
  it("holds one reply and its requests wait; it is cut off at the time limit", async () => {
    const { server } = await open({ limits: { callTimeLimitMs: 100 } });
    const { stream, end } = rawCall(server.raw({ initialWindowSize: 0 }), "GetEventsStream");
    for (let id = 1n; id <= 50n; id++) {
      stream.write(
        framed(wire.GetEventsStreamRequest.encode({ requestId: id, request: read(["$large"]) }).finish()),
      );
    }
    await eventually(() => expect(server.usage().bytesInFlight).toBeGreaterThan(200_000));
    expect(server.usage().bytesInFlight).toBeLessThan(210_000);
    expect(await end).toBe(`reset ${constants.NGHTTP2_CANCEL}`);
    await expectIdle(server);
  });

  it("holds few small replies", async () => {
    const lookups: string[] = [];
    const { store } = makeMemoryStore();
    const counting = decorateStore(store, {
      getEvents: (request, take) => {
        lookups.push("lookup");
        return store.getEvents(request, take);
      },
    });
    const { server } = await open({ store: counting, limits: { callTimeLimitMs: 200 } });
    lookups.length = 0;
    const missing = "$".padEnd(1000, "m");
    const { stream, end } = rawCall(server.raw({ initialWindowSize: 0 }), "GetEventsStream");
    for (let id = 1n; id <= 500n; id++) {
      stream.write(
        framed(wire.GetEventsStreamRequest.encode({ requestId: id, request: read([missing]) }).finish()),
      );
    }
    expect(await end).toBe(`reset ${constants.NGHTTP2_CANCEL}`);
    await expectIdle(server);
    expect(lookups.length).toBeGreaterThan(1);
    expect(lookups.length).toBeLessThan(70);
  });
});
