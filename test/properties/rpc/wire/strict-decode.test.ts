import fc from "fast-check";
import { describe, expect, it } from "vitest";
import * as wire from "../../../../src/gen/splitcache/v1/event_cache_service.js";
import { serviceDefinition } from "../../../../src/rpc/handlers/service-definition.js";

const bytes = (max: number) => fc.uint8Array({ maxLength: max }).map((array) => Buffer.from(array));

const text = fc.string({ unit: "binary" });

const event = fc.record({
  eventId: text,
  roomId: text,
  roomVersion: text,
  body: bytes(300),
  rejected: fc.boolean(),
  rejectedReason: text,
  redaction: fc.option(fc.record({ redactedBy: text, redactedBody: bytes(50) }), { nil: undefined }),
  internalMetadata: bytes(50),
});
const decodePut = serviceDefinition.putEvents.requestDeserialize;

const position = fc.record({ epoch: bytes(20), sequence: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) });

const putRequest = fc.record({
  homeserver: text,
  events: fc.array(event),
  asOf: fc.option(position, { nil: undefined }),
});

describe("the strict deserialiser", () => {
  it("reads everything that the generated code writes", () => {
    fc.assert(
      fc.property(putRequest, (request) => {
        const encoded = Buffer.from(wire.PutEventsRequest.encode(request).finish());
        const decoded = decodePut(encoded);
        expect(decoded).toEqual({ ok: true, byteLength: encoded.byteLength, message: request });
      }),
    );
  });

  it("refuses every message that is cut short inside a field, and never throws on random bytes", () => {
    fc.assert(
      fc.property(putRequest, bytes(40), fc.nat(), (request, rubbish, cut) => {
        const encoded = Buffer.from(wire.PutEventsRequest.encode(request).finish());
        // Every field of this message is length-delimited, so a prefix is whole only at a field's end.
        const prefix = encoded.subarray(0, cut % (encoded.byteLength + 1));
        const decoded = decodePut(prefix);
        if (decoded.ok) {
          expect(Buffer.from(wire.PutEventsRequest.encode(decoded.message).finish())).toEqual(prefix);
        }
        decodePut(rubbish);
      }),
    );
  });
});
