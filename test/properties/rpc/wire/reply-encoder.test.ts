import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodedBytes, writeEncoded } from "../../../../src/core/memory/encoded-event.js";
import type { ReadRequest } from "../../../../src/core/model/store.js";
import type { Epoch, NewEvent, RedactionView, StoredEvent } from "../../../../src/core/model/types.js";
import * as wire from "../../../../src/gen/splitcache/v1/event_cache_service.js";
import { getEventsReply, streamedReply } from "../../../../src/rpc/wire/reply-encoder.js";
import { ALPHA, eventId, roomId } from "../../../support/store/store-harness.js";

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
});
