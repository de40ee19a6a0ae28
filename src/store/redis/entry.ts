import type { EventId, NewEvent } from "../../core/types.js";
import type { Digest } from "./body-cache.js";

/** Names a body that is kept elsewhere. */
export interface BodyReference {
  /** SHA-256, 32 bytes as latin1. */
  readonly digest: Digest;
  /** Its bytes. */
  readonly size: number;
}

/**
 * A homeserver's metadata of one event as Redis holds it, after the 8 bytes of its
 * room's token: the reference to its body (36 bytes), flags, room ID, rejected_reason and
 * redacting event (each after its length in two bytes), the reference to the redacted
 * body if there is one, internal metadata. The scripts read and write the same.
 */
export interface Entry {
  readonly body: BodyReference;
  readonly rejected: boolean;
  readonly rejectedReason: string;
  /** The redacting event; undefined: not redacted. */
  readonly redactedBy: EventId | undefined;
  /** Undefined: not redacted, or no redacted body could be made. */
  readonly redactedBody: BodyReference | undefined;
  readonly internalMetadata: string;
}

const DIGEST_BYTES = 32;
const REFERENCE_BYTES = DIGEST_BYTES + 4;
export const ROOM_TOKEN_BYTES = 8;
const REJECTED = 1;
const REDACTED = 2;
const WITH_REDACTED_BODY = 4;

export function encodeEntry(
  event: NewEvent,
  body: BodyReference,
  redactedBody: BodyReference | undefined,
): Buffer {
  const { redaction } = event;
  const flags =
    (event.rejected ? REJECTED : 0) |
    (redaction === undefined ? 0 : REDACTED) |
    (redactedBody === undefined ? 0 : WITH_REDACTED_BODY);
  return Buffer.concat([
    encodeReference(body),
    Buffer.from([flags]),
    ...[event.roomId, event.rejectedReason, redaction?.redactedBy ?? ""].flatMap(withLength),
    redactedBody === undefined ? NOTHING : encodeReference(redactedBody),
    event.internalMetadata,
  ]);
}

export function decodeEntry(bytes: Buffer): Entry {
  const flags = bytes[REFERENCE_BYTES]!;
  const room = textAt(bytes, REFERENCE_BYTES + 1);
  const reason = textAt(bytes, room.end);
  const redactedBy = textAt(bytes, reason.end);
  const hasRedactedBody = (flags & WITH_REDACTED_BODY) !== 0;
  const internalAt = redactedBy.end + (hasRedactedBody ? REFERENCE_BYTES : 0);
  return {
    body: decodeReference(bytes, 0),
    rejected: (flags & REJECTED) !== 0,
    rejectedReason: reason.text,
    redactedBy: (flags & REDACTED) === 0 ? undefined : (redactedBy.text as EventId),
    redactedBody: hasRedactedBody ? decodeReference(bytes, redactedBy.end) : undefined,
    internalMetadata: bytes.toString("latin1", internalAt),
  };
}

export function encodeReference({ digest, size }: BodyReference): Buffer {
  const bytes = Buffer.alloc(REFERENCE_BYTES);
  bytes.write(digest, "latin1");
  bytes.writeUInt32BE(size, DIGEST_BYTES);
  return bytes;
}

function decodeReference(bytes: Buffer, at: number): BodyReference {
  const digestEnd = at + DIGEST_BYTES;
  return { digest: bytes.toString("latin1", at, digestEnd), size: bytes.readUInt32BE(digestEnd) };
}

function withLength(text: string): Buffer[] {
  const bytes = Buffer.from(text);
  return [Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes];
}

function textAt(bytes: Buffer, at: number): { text: string; end: number } {
  const start = at + 2;
  const end = start + bytes.readUInt16BE(at);
  return { text: bytes.toString("utf8", start, end), end };
}

const NOTHING = Buffer.alloc(0);
