import { describe, expect, it } from "vitest";
import { encodedBytes, writeEncoded } from "../../../../src/core/memory/encoded-event.js";
import { REPLY_BYTES_MAX } from "../../../../src/core/model/limits.js";
import type { ReadRequest } from "../../../../src/core/model/store.js";
import type { Epoch, NewEvent, RedactionView, StoredEvent } from "../../../../src/core/model/types.js";
import * as wire from "../../../../src/gen/splitcache/v1/event_cache_service.js";
import { getEventsReply, streamedReply } from "../../../../src/rpc/wire/reply-encoder.js";
import { ALPHA, eventId, messageEvent } from "../../../support/store/store-harness.js";

/** An event as a store holds it: its frame somewhere in a larger stretch of memory. */
function stored(event: NewEvent): StoredEvent {
  const bytes = Buffer.alloc(encodedBytes(event) + 20, 255);
  writeEncoded(bytes, 10, event);
  return {
    eventId: event.eventId,
    encoded: { bytes, start: 10, end: bytes.byteLength - 10 },
    state: event,
    internalMetadata: Buffer.from(event.internalMetadata).toString("latin1"),
  };
}

const EPOCH = "00112233445566778899aabbccddeeff" as Epoch;

function readRequest(eventIds: readonly string[], view: RedactionView): ReadRequest {
  return { homeserver: ALPHA, eventIds: eventIds.map(eventId), view, minPosition: undefined };
}

describe("a reply", () => {
  it("never falls back to the original of a redacted event", () => {
    const redaction = { redactedBy: eventId("$r"), redactedBody: undefined };
    const event = messageEvent("$a", { redaction });
    const position = { epoch: EPOCH, sequence: 1 };
    const reply = getEventsReply(readRequest(["$a"], "redacted"), { position, events: [stored(event)] });
    const decoded = wire.GetEventsResponse.decode(reply.encode());
    expect([decoded.events, decoded.missingEventIds]).toEqual([[], ["$a"]]);
  });
});

describe("a reply that would be too large", () => {
  const position = { epoch: EPOCH, sequence: 7 };

  /** Hits of the given body sizes, a miss for 0. */
  function replyOf(sizes: readonly number[], idLength: number, streamed: boolean) {
    const ids = sizes.map((_, index) => `$${index}`.padEnd(idLength, "x"));
    const events = sizes.map((size, index) =>
      size === 0 ? undefined : stored(messageEvent(ids[index]!, { body: Buffer.alloc(size, 97) })),
    );
    const request = readRequest(ids, "redacted");
    const outgoing = streamed
      ? streamedReply(2n ** 64n - 1n, request, { position, events })
      : getEventsReply(request, { position, events });
    const bytes = outgoing.encode();
    expect(bytes.byteLength).toBe(outgoing.byteLength);
    expect(bytes.byteLength).toBeLessThanOrEqual(REPLY_BYTES_MAX);
    if (!streamed) return { ids, bytes, reply: wire.GetEventsResponse.decode(bytes) };
    const { result } = wire.GetEventsStreamResponse.decode(bytes);
    if (result?.$case !== "response") throw new Error("not a response");
    return { ids, bytes, reply: result.value };
  }

  it("contains the first hits that fit, and names every later hit as truncated, even a hit that would fit", () => {
    const sizes = [...Array.from({ length: 20 }, () => 200_000), 0, 10];
    for (const streamed of [false, true]) {
      const { ids, reply } = replyOf(sizes, 40, streamed);
      expect(reply.events.map((event) => event.eventId)).toEqual(ids.slice(0, 18));
      expect(reply.truncatedEventIds).toEqual([ids[18], ids[19], ids[21]]);
      expect(reply.missingEventIds).toEqual([ids[20]]);
    }
  });

  it("stays below the limit with 500 of the longest IDs, and one of the largest events fits", () => {
    const sizes = Array.from({ length: 500 }, (_, index) => (index % 2 === 0 ? 262_144 : 0));
    const { ids, reply } = replyOf(sizes, 1020, false);
    expect(reply.events.length).toBeGreaterThan(5);
    expect(reply.events.length + reply.truncatedEventIds.length).toBe(250);
    expect(reply.missingEventIds).toEqual(ids.filter((_, index) => index % 2 === 1));
  });

  it("is filled to the last byte", () => {
    const { bytes } = replyOf([...Array.from({ length: 13 }, () => 262_144), 200_000], 40, false);
    const fitting = 200_000 + REPLY_BYTES_MAX - bytes.byteLength;
    const filled = replyOf([...Array.from({ length: 13 }, () => 262_144), fitting], 40, false);
    expect(filled.bytes.byteLength).toBe(REPLY_BYTES_MAX);
    expect(filled.reply.truncatedEventIds).toEqual([]);
    const over = replyOf([...Array.from({ length: 13 }, () => 262_144), fitting + 1], 40, false);
    expect(over.reply.truncatedEventIds).toHaveLength(1);
  });
});
