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
 * A homeserver's metadata of one event as Redis holds it: its room's token (8 bytes),
 * the length of what follows (2), flags (1), the reference to its body (36),
 * rejected_reason and redacting event (each after its length in 2 bytes), the
 * reference to the redacted body if there is one, internal metadata. The scripts read
 * and write the same.
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

/** What there is instead of an entry: nothing, or one whose room was purged. */
export type NoEntry = "absent" | "orphaned";

export const ROOM_TOKEN_BYTES = 8;
const LENGTH_BYTES = 2;
const HEAD_BYTES = ROOM_TOKEN_BYTES + LENGTH_BYTES;
const DIGEST_BYTES = 32;
const REFERENCE_BYTES = DIGEST_BYTES + 4;
const REJECTED = 1;
const REDACTED = 2;
const WITH_REDACTED_BODY = 4;

/** The entry without its room's token, which the script puts before it. */
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
  const rest = Buffer.concat([
    Buffer.from([flags]),
    encodeReference(body),
    withLength(Buffer.from(event.rejectedReason)),
    withLength(Buffer.from(redaction?.redactedBy ?? "")),
    redactedBody === undefined ? NOTHING : encodeReference(redactedBody),
    event.internalMetadata,
  ]);
  return withLength(rest);
}

/** Reads entries, whole ones and stand-ins, as a script's reply has them: one after the other. */
export class EntryReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  next(): Entry | NoEntry {
    const bytes = this.#bytes;
    const start = this.#at + HEAD_BYTES;
    const end = start + bytes.readUInt16BE(start - LENGTH_BYTES);
    this.#at = end;
    if (end > start) return decodeEntry(bytes, start, end);
    return bytes[start - LENGTH_BYTES - 1] === 0 ? "absent" : "orphaned";
  }
}

function decodeEntry(bytes: Buffer, start: number, end: number): Entry {
  const flags = bytes[start]!;
  const reasonAt = start + 1 + REFERENCE_BYTES + LENGTH_BYTES;
  const reasonEnd = reasonAt + bytes.readUInt16BE(reasonAt - LENGTH_BYTES);
  const redactedByAt = reasonEnd + LENGTH_BYTES;
  const redactedByEnd = redactedByAt + bytes.readUInt16BE(reasonEnd);
  const hasRedactedBody = (flags & WITH_REDACTED_BODY) !== 0;
  const internalAt = redactedByEnd + (hasRedactedBody ? REFERENCE_BYTES : 0);
  return {
    body: decodeReference(bytes, start + 1),
    rejected: (flags & REJECTED) !== 0,
    rejectedReason: bytes.toString("utf8", reasonAt, reasonEnd),
    redactedBy:
      (flags & REDACTED) === 0 ? undefined : (bytes.toString("utf8", redactedByAt, redactedByEnd) as EventId),
    redactedBody: hasRedactedBody ? decodeReference(bytes, redactedByEnd) : undefined,
    internalMetadata: bytes.toString("latin1", internalAt, end),
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

function withLength(bytes: Buffer): Buffer {
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt16BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

const NOTHING = Buffer.alloc(0);
