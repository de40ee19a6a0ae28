import type { ByteRange, NewEvent } from "../model/types.js";

/**
 * An encoded event is the immutable part of an event (event ID, room ID, room
 * version, body) as one range of bytes: the protobuf encoding of fields 1 to 4 of
 * the contract's CachedEvent, in that order, each present. It is encoded once,
 * when the event is put, so a read only copies bytes. Two events are the same
 * variant exactly if their encodings are the same bytes.
 */

const EVENT_ID_TAG = 0x0a;
const ROOM_ID_TAG = 0x12;
const ROOM_VERSION_TAG = 0x1a;
const BODY_TAG = 0x22;

type EventParts = Pick<NewEvent, "eventId" | "roomId" | "roomVersion" | "body">;

/** The size of the event's encoding in bytes. */
export function encodedBytes(event: EventParts): number {
  return (
    fieldBytes(Buffer.byteLength(event.eventId)) +
    fieldBytes(Buffer.byteLength(event.roomId)) +
    fieldBytes(Buffer.byteLength(event.roomVersion)) +
    fieldBytes(event.body.byteLength)
  );
}

/** Writes the event's encoding, `encodedBytes` long, at `start`. */
export function writeEncoded(target: Buffer, start: number, event: EventParts): void {
  let at = writeStringField(target, start, EVENT_ID_TAG, event.eventId);
  at = writeStringField(target, at, ROOM_ID_TAG, event.roomId);
  at = writeStringField(target, at, ROOM_VERSION_TAG, event.roomVersion);
  at = writeFieldHead(target, at, BODY_TAG, event.body.byteLength);
  target.set(event.body, at);
}

/** Whether the range holds the encoding of `event`; compares without encoding. */
export function isEncodingOf(encoded: ByteRange, event: EventParts): boolean {
  const { bytes } = encoded;
  let at = encoded.start;
  for (const text of [event.eventId, event.roomId, event.roomVersion]) {
    const field = readField(bytes, at);
    if (bytes.toString("utf8", field.start, field.end) !== text) return false;
    at = field.end;
  }
  const body = readField(bytes, at);
  return (
    body.end - body.start === event.body.byteLength &&
    bytes.compare(event.body, 0, event.body.byteLength, body.start, body.end) === 0
  );
}

/** Where the body's field begins: the bytes before it are event ID, room ID and room version. */
export function bodyFieldStart(encoded: ByteRange): number {
  const eventIdEnd = readField(encoded.bytes, encoded.start).end;
  const roomIdEnd = readField(encoded.bytes, eventIdEnd).end;
  return readField(encoded.bytes, roomIdEnd).end;
}

/** The room version. */
export function encodedRoomVersion(encoded: ByteRange): string {
  const eventId = readField(encoded.bytes, encoded.start);
  const roomId = readField(encoded.bytes, eventId.end);
  const roomVersion = readField(encoded.bytes, roomId.end);
  return encoded.bytes.toString("utf8", roomVersion.start, roomVersion.end);
}

/** The body, as a view of the range's memory. */
export function encodedBody(encoded: ByteRange): Buffer {
  const body = readField(encoded.bytes, bodyFieldStart(encoded));
  return encoded.bytes.subarray(body.start, body.end);
}

/** The bytes of a varint that holds `value`, below 2^28. */
export function varintBytes(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  return value < 0x200000 ? 3 : 4;
}

/** Writes a varint below 2^28 and returns where it ends. */
export function writeVarint(target: Buffer, start: number, value: number): number {
  let at = start;
  let rest = value;
  while (rest >= 0x80) {
    target[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  target[at++] = rest;
  return at;
}

/** The bytes of a length-delimited field with a one-byte tag. */
export function fieldBytes(contentBytes: number): number {
  return 1 + varintBytes(contentBytes) + contentBytes;
}

/** Writes a one-byte tag and a length, and returns where the content goes. */
export function writeFieldHead(target: Buffer, start: number, tag: number, contentBytes: number): number {
  target[start] = tag;
  return writeVarint(target, start + 1, contentBytes);
}

function writeStringField(target: Buffer, start: number, tag: number, text: string): number {
  const textBytes = Buffer.byteLength(text);
  const at = writeFieldHead(target, start, tag, textBytes);
  // Every ID in practice is ASCII, for which latin1 is the same and faster.
  target.write(text, at, textBytes, textBytes === text.length ? "latin1" : "utf8");
  return at + textBytes;
}

function readField(bytes: Buffer, tagAt: number): { start: number; end: number } {
  let at = tagAt + 1;
  let length = 0;
  let shift = 0;
  let byte: number;
  do {
    byte = bytes[at++]!;
    length |= (byte & 0x7f) << shift;
    shift += 7;
  } while (byte >= 0x80);
  return { start: at, end: at + length };
}
