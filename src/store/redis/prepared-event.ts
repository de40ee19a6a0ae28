import { frameBytes, writeFrame } from "../../core/event-frame.js";
import type { NewEvent } from "../../core/types.js";
import { type Digest, digestOf } from "./body-cache.js";
import { type BodyReference, encodeEntry } from "./entry.js";

export interface Prepared {
  readonly event: NewEvent;
  readonly entry: Buffer;
  readonly bodies: readonly (readonly [Digest, Buffer])[];
}

/** What an event's put writes: its body, its redacted body, its metadata. */
export function prepare(event: NewEvent): Prepared {
  const frame = Buffer.allocUnsafe(frameBytes(event));
  writeFrame(frame, 0, event);
  const body = referenceTo(frame);
  const redactedBytes = event.redaction?.redactedBody;
  if (redactedBytes === undefined) {
    return { event, entry: encodeEntry(event, body, undefined), bodies: [[body.digest, frame]] };
  }
  const redacted = referenceTo(redactedBytes);
  return {
    event,
    entry: encodeEntry(event, body, redacted),
    bodies: [
      [body.digest, frame],
      [redacted.digest, Buffer.from(redactedBytes)],
    ],
  };
}

/** Names bytes that are kept as a body. */
export function referenceTo(bytes: Uint8Array): BodyReference {
  return { digest: digestOf(bytes).toString("latin1"), size: bytes.byteLength };
}
