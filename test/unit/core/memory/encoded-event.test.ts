import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  bodyFieldStart,
  encodedBody,
  encodedBytes,
  encodedRoomVersion,
  fieldBytes,
  isEncodingOf,
  varintBytes,
  writeEncoded,
  writeVarint,
} from "../../../../src/core/memory/encoded-event.js";
import type { ByteRange, NewEvent } from "../../../../src/core/model/types.js";
import { CachedEvent } from "../../../../src/gen/splitcache/v1/event_cache_service.js";
import { eventId, messageEvent, roomId } from "../../../support/store/store-harness.js";

/** The encoded event between other bytes, as it lies in a page. */
function encode(event: NewEvent): ByteRange {
  const size = encodedBytes(event);
  const bytes = Buffer.alloc(size + 20, 0xff);
  writeEncoded(bytes, 7, event);
  expect(bytes.subarray(0, 7)).toEqual(Buffer.alloc(7, 0xff));
  expect(bytes.subarray(7 + size)).toEqual(Buffer.alloc(13, 0xff));
  return { bytes, start: 7, end: 7 + size };
}

const text = (lengthMax: number) => fc.string({ unit: "binary", maxLength: lengthMax });
const anyEvent = fc
  .record({ id: text(300), room: text(300), version: text(32), body: fc.uint8Array({ maxLength: 300 }) })
  .map(({ id, room, version, body }) =>
    messageEvent(id, { roomId: roomId(room), roomVersion: version, body }),
  );

describe("an encoded event", () => {
  it("is what the contract's CachedEvent decodes to, for any text and any bytes", () => {
    fc.assert(
      fc.property(anyEvent, (event) => {
        const { bytes, start, end } = encode(event);
        expect(CachedEvent.decode(bytes.subarray(start, end))).toEqual({
          ...CachedEvent.create(),
          eventId: event.eventId,
          roomId: event.roomId,
          roomVersion: event.roomVersion,
          body: Buffer.from(event.body),
        });
      }),
    );
  });

  it.each([0, 1, 127, 128, 16_383, 16_384, 262_144])("holds a body of %d bytes", (size) => {
    const event = messageEvent("$a", { body: Buffer.alloc(size, 0x81), roomVersion: "org.example" });
    const encoded = encode(event);
    expect(encodedBody(encoded).equals(event.body)).toBe(true);
    expect(encodedRoomVersion(encoded)).toBe("org.example");
    const { body } = CachedEvent.decode(encoded.bytes.subarray(encoded.start, encoded.end));
    expect(body.equals(event.body)).toBe(true);
    expect(isEncodingOf(encoded, event)).toBe(true);
  });

  it("returns its room version and its body", () => {
    fc.assert(
      fc.property(anyEvent, (event) => {
        const encoded = encode(event);
        expect(encodedRoomVersion(encoded)).toBe(event.roomVersion);
        expect(encodedBody(encoded)).toEqual(Buffer.from(event.body));
      }),
    );
  });

  it("distinguishes its own event from every other", () => {
    fc.assert(
      fc.property(anyEvent, anyEvent, (event, other) => {
        const same =
          event.eventId === other.eventId &&
          event.roomId === other.roomId &&
          event.roomVersion === other.roomVersion &&
          Buffer.from(event.body).equals(Buffer.from(other.body));
        expect(isEncodingOf(encode(event), other)).toBe(same);
        expect(isEncodingOf(encode(event), { ...event, body: Buffer.from(event.body) })).toBe(true);
      }),
    );
  });

  it.each<[string, Partial<NewEvent>]>([
    ["event ID", { eventId: eventId("$b") }],
    ["room ID", { roomId: roomId("!b") }],
    ["room version", { roomVersion: "9" }],
    ["body", { body: Buffer.from("{b}") }],
    ["length of the body", { body: Buffer.from("{a} ") }],
    ["end of the body", { body: Buffer.from("{a") }],
    ["form of the ID: é as one code point or as two", { eventId: eventId("$a\u0301") }],
  ])("tells two events apart that differ only in their %s", (_, change) => {
    const event = messageEvent("$\u00e1", { body: Buffer.from("{a}") });
    expect(isEncodingOf(encode(event), event)).toBe(true);
    expect(isEncodingOf(encode(event), { ...event, ...change })).toBe(false);
  });

  it("begins its body's field where event ID, room ID and room version end", () => {
    const event = messageEvent("$é", { roomId: roomId("x".repeat(200)), roomVersion: "10" });
    const encoded = encode(event);
    const head = encoded.bytes.subarray(encoded.start, bodyFieldStart(encoded));
    expect(CachedEvent.decode(head)).toMatchObject({
      eventId: event.eventId,
      roomId: event.roomId,
      roomVersion: "10",
      body: Buffer.alloc(0),
    });
    expect(encoded.bytes[bodyFieldStart(encoded)]).toBe(0x22);
  });
});

describe("a varint", () => {
  it.each<[number, number[]]>([
    [0, [0]],
    [0x7f, [0x7f]],
    [0x80, [0x80, 1]],
    [0x3fff, [0xff, 0x7f]],
    [0x4000, [0x80, 0x80, 1]],
    [0x1fffff, [0xff, 0xff, 0x7f]],
    [0x200000, [0x80, 0x80, 0x80, 1]],
    [0xfffffff, [0xff, 0xff, 0xff, 0x7f]],
  ])("writes %d and tells its size", (value, wanted) => {
    const target = Buffer.alloc(8, 0xee);
    expect(writeVarint(target, 2, value)).toBe(2 + wanted.length);
    expect([...target]).toEqual([0xee, 0xee, ...wanted, ...new Array(6 - wanted.length).fill(0xee)]);
    expect(varintBytes(value)).toBe(wanted.length);
    expect(fieldBytes(value)).toBe(1 + wanted.length + value);
  });
});
