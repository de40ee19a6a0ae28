import { bodyFieldStart, fieldBytes, writeFieldHead } from "../../core/memory/encoded-event.js";
import type { Redaction, RedactionView, StoredEvent } from "../../core/model/types.js";

/** CachedEvent's fields beyond the frame, and Redaction's. */
const REJECTED_TAG = 0x28;
const REJECTED_REASON_TAG = 0x32;
const REDACTION_TAG = 0x3a;
const INTERNAL_METADATA_TAG = 0x42;
const BODY_TAG = 0x22;
const REDACTED_BY_TAG = 0x0a;
const REDACTED_BODY_TAG = 0x12;

const REJECTED_FIELD_BYTES = 2;

/** The bytes of a showable event as a CachedEvent. */
export function cachedEventBytes(event: StoredEvent, view: RedactionView): number {
  const { encoded, state, internalMetadata } = event;
  const { redaction, rejectedReason } = state;
  let bytes = encoded.end - encoded.start;
  if (redaction !== undefined) {
    if (view === "redacted") {
      bytes = bodyFieldStart(encoded) - encoded.start + fieldBytes(redactedBody(redaction).byteLength);
    }
    bytes += fieldBytes(redactionBytes(redaction, view));
  }
  if (state.rejected) bytes += REJECTED_FIELD_BYTES;
  if (rejectedReason !== "") bytes += fieldBytes(Buffer.byteLength(rejectedReason));
  if (internalMetadata !== "") bytes += fieldBytes(internalMetadata.length);
  return bytes;
}

/** Writes a showable event as a CachedEvent and returns its end. */
export function writeCachedEvent(
  target: Buffer,
  start: number,
  event: StoredEvent,
  view: RedactionView,
): number {
  const { encoded, state, internalMetadata } = event;
  const { redaction, rejectedReason } = state;
  let at = start;
  if (redaction !== undefined && view === "redacted") {
    at += encoded.bytes.copy(target, at, encoded.start, bodyFieldStart(encoded));
    at = writeBytesField(target, at, BODY_TAG, redactedBody(redaction));
  } else {
    at += encoded.bytes.copy(target, at, encoded.start, encoded.end);
  }
  if (state.rejected) {
    target[at++] = REJECTED_TAG;
    target[at++] = 1;
  }
  if (rejectedReason !== "") at = writeTextField(target, at, REJECTED_REASON_TAG, rejectedReason);
  if (redaction !== undefined) at = writeRedaction(target, at, redaction, view);
  if (internalMetadata !== "") {
    at = writeFieldHead(target, at, INTERNAL_METADATA_TAG, internalMetadata.length);
    at += target.write(internalMetadata, at, "latin1");
  }
  return at;
}

/** Writes a text under a one-byte tag and returns its end. */
export function writeTextField(target: Buffer, start: number, tag: number, text: string): number {
  const bytes = Buffer.byteLength(text);
  const at = writeFieldHead(target, start, tag, bytes);
  return at + target.write(text, at, bytes, bytes === text.length ? "latin1" : "utf8");
}

function redactionBytes(redaction: Redaction, view: RedactionView): number {
  const redactedByBytes = fieldBytes(Buffer.byteLength(redaction.redactedBy));
  return showsRedactedBody(redaction, view)
    ? redactedByBytes + fieldBytes(redactedBody(redaction).byteLength)
    : redactedByBytes;
}

function writeRedaction(target: Buffer, start: number, redaction: Redaction, view: RedactionView): number {
  let at = writeFieldHead(target, start, REDACTION_TAG, redactionBytes(redaction, view));
  at = writeTextField(target, at, REDACTED_BY_TAG, redaction.redactedBy);
  return showsRedactedBody(redaction, view)
    ? writeBytesField(target, at, REDACTED_BODY_TAG, redactedBody(redaction))
    : at;
}

/** The redacted body as a field of the redaction. In the view "redacted" it is the event's body instead. */
function showsRedactedBody(redaction: Redaction, view: RedactionView): boolean {
  return view === "original" && redaction.redactedBody !== undefined;
}

function redactedBody(redaction: Redaction): Uint8Array {
  if (redaction.redactedBody === undefined) throw new Error("the event is not showable under this view");
  return redaction.redactedBody;
}

function writeBytesField(target: Buffer, start: number, tag: number, bytes: Uint8Array): number {
  const at = writeFieldHead(target, start, tag, bytes.byteLength);
  target.set(bytes, at);
  return at + bytes.byteLength;
}
