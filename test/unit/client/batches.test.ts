import { describe, expect, it } from "vitest";
import { putBatches } from "../../../src/client/events.js";
import { BODY_BYTES_MAX, REQUEST_BYTES_MAX } from "../../../src/core/model/limits.js";
import { type CachedEvent, PutEventsRequest } from "../../../src/gen/splitcache/v1/event_cache_service.js";

function event(bodyBytes: number): CachedEvent {
  return {
    eventId: "$é".repeat(300),
    roomId: "!r".repeat(400),
    roomVersion: "10",
    body: Buffer.alloc(bodyBytes, "x"),
    rejected: true,
    rejectedReason: "because",
    redaction: { redactedBy: "$r".repeat(500), redactedBody: Buffer.alloc(bodyBytes, "y") },
    internalMetadata: Buffer.alloc(100),
  };
}

describe("putBatches", () => {
  it("puts at most 500 events into a batch and keeps their order", () => {
    const events = Array.from({ length: 1001 }, () => event(1));
    const batches = putBatches(events);
    expect(batches.map((batch) => batch.length)).toEqual([500, 500, 1]);
    expect(batches.flat()).toEqual(events);
  });

  it("keeps every request within 4 MiB, and close to it", () => {
    const events = Array.from({ length: 40 }, () => event(BODY_BYTES_MAX));
    const asOf = { epoch: Buffer.alloc(16), sequence: 2n ** 53n };
    const homeserver = "h".repeat(255);
    const sizes = putBatches(events).map(
      (batch) => PutEventsRequest.encode({ homeserver, events: batch, asOf }).finish().length,
    );
    expect(Math.max(...sizes)).toBeLessThanOrEqual(REQUEST_BYTES_MAX);
    expect(sizes.slice(0, -1).every((size) => size > REQUEST_BYTES_MAX - 2.2 * BODY_BYTES_MAX)).toBe(true);
  });

  it("makes no batch of nothing", () => {
    expect(putBatches([])).toEqual([]);
  });
});
