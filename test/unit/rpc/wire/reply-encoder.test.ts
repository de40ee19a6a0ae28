import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { frameBytes, writeFrame } from "../../../../src/core/memory/encoded-event.js";
import { REPLY_BYTES_MAX } from "../../../../src/core/model/limits.js";
import type { ReadRequest } from "../../../../src/core/model/store.js";
import type { Epoch, NewEvent, RedactionView, StoredEvent } from "../../../../src/core/model/types.js";
import * as wire from "../../../../src/gen/splitcache/v1/event_cache_service.js";
import { getEventsReply, streamedReply } from "../../../../src/rpc/wire/reply-encoder.js";
import { ALPHA, eventId, messageEvent, roomId } from "../../../support/store-harness.js";

/** An event as a store holds it: its frame somewhere in a larger stretch of memory. */
function stored(event: NewEvent): StoredEvent {
  const bytes = Buffer.alloc(frameBytes(event) + 20, 255);
  writeFrame(bytes, 10, event);
  return {
    eventId: event.eventId,
    frame: { bytes, start: 10, end: bytes.byteLength - 10 },
    state: event,
    internalMetadata: Buffer.from(event.internalMetadata).toString("latin1"),
  };
}

/** What the reply must hold, made the slow way. */
function naiveEvent(event: NewEvent, view: RedactionView): wire.CachedEvent | undefined {
  const { redaction } = event;
  const shown = {
    ...event,
    body: Buffer.from(event.body),
    internalMetadata: Buffer.from(event.internalMetadata),
  };
  if (redaction === undefined) return { ...shown, redaction: undefined };
  const { redactedBy, redactedBody = new Uint8Array() } = redaction;
  if (view === "original") {
    return { ...shown, redaction: { redactedBy, redactedBody: Buffer.from(redactedBody) } };
  }
  if (redaction.redactedBody === undefined) return undefined;
  return {
    ...shown,
    body: Buffer.from(redactedBody),
    redaction: { redactedBy, redactedBody: Buffer.alloc(0) },
  };
}

const EPOCH = "00112233445566778899aabbccddeeff" as Epoch;

function readRequest(eventIds: readonly string[], view: RedactionView): ReadRequest {
  return { homeserver: ALPHA, eventIds: eventIds.map(eventId), view, minPosition: undefined };
}

const id = fc.string({ minLength: 1, maxLength: 200, unit: "binary" });
const body = fc.uint8Array({ minLength: 1, maxLength: 20_000, size: "max" });
const newEvent: fc.Arbitrary<NewEvent> = fc.record({
  eventId: id.map(eventId),
  roomId: id.map(roomId),
  roomVersion: fc.string({ minLength: 1, maxLength: 8 }),
  body,
  rejected: fc.boolean(),
  rejectedReason: fc.oneof(fc.constant(""), id),
  redaction: fc.option(
    fc.record({ redactedBy: id.map(eventId), redactedBody: fc.option(body, { nil: undefined }) }),
    { nil: undefined },
  ),
  internalMetadata: fc.uint8Array({ maxLength: 300 }),
});
const view = fc.constantFrom<RedactionView>("redacted", "original");
const sequence = fc.oneof(fc.nat(), fc.maxSafeNat());

describe("a reply", () => {
  it("is what the generated code would have written", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(newEvent, fc.boolean())), view, sequence, (mentions, shownAs, at) => {
        const expected: wire.GetEventsResponse = {
          events: [],
          missingEventIds: [],
          truncatedEventIds: [],
          position: { epoch: Buffer.from(EPOCH, "hex"), sequence: BigInt(at) },
        };
        for (const [event, isHit] of mentions) {
          const shown = isHit ? naiveEvent(event, shownAs) : undefined;
          if (shown === undefined) expected.missingEventIds.push(event.eventId);
          else expected.events.push(shown);
        }
        const request = readRequest(
          mentions.map(([event]) => event.eventId),
          shownAs,
        );
        const result = {
          position: { epoch: EPOCH, sequence: at },
          events: mentions.map(([event, isHit]) => (isHit ? stored(event) : undefined)),
        };
        const reply = getEventsReply(request, result);
        const encoded = reply.encode();
        expect(encoded.equals(wire.GetEventsResponse.encode(expected).finish())).toBe(true);
        expect(reply.byteLength).toBe(encoded.byteLength);

        const streamed = streamedReply(BigInt(at), request, result);
        const streamedExpected = {
          requestId: BigInt(at),
          result: { $case: "response", value: expected },
        } as const;
        const streamedBytes = streamed.encode();
        expect(streamedBytes.equals(wire.GetEventsStreamResponse.encode(streamedExpected).finish())).toBe(
          true,
        );
        expect(streamed.byteLength).toBe(streamedBytes.byteLength);
      }),
      { numRuns: 60 },
    );
  });

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

  it("holds a row of hits from the first, and names every later one as truncated, even one that would fit", () => {
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
