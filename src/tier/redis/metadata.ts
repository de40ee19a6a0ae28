import { createHmac, createSecretKey, hkdfSync, type KeyObject, timingSafeEqual } from "node:crypto";
import type { Epoch, EventId, Homeserver, Position } from "../../core/model/types.js";
import { type BodyReference, DIGEST_BYTES } from "./body.js";
import { HOMESERVER_KEYS_MAX } from "./limits.js";

/**
 * A homeserver's metadata of one event as it is stored: version (1), MAC (16),
 * epoch (16), sequence (8), expiry in milliseconds since 1970 (6), flags (1), the
 * reference to the body (36), the reference to the redacted body if there is one,
 * rejected_reason and redacted_by (each after its length in 2 bytes), internal
 * metadata. The room ID is stored with the body.
 */
export interface Metadata {
  readonly asOf: Position;
  readonly expiresAtMs: number;
  readonly body: BodyReference;
  readonly redactedBody: BodyReference | undefined;
  readonly rejected: boolean;
  readonly rejectedReason: string;
  /** The event ID of the redaction; undefined: not redacted. */
  readonly redactedBy: EventId | undefined;
  readonly internalMetadata: Uint8Array;
}

/** Why a value is not used. `version`: of another format version; `forged`: not written with this secret under this key. */
export type Rejection = "version" | "forged";

const FORMAT = 1;
const MAC_AT = 1;
/** HMAC-SHA-256-128, as in RFC 4868: half of the digest, since every entry stores it. */
const MAC_BYTES = 16;
const SIGNED_AT = MAC_AT + MAC_BYTES;
const EPOCH_BYTES = 16;
const REFERENCE_BYTES = DIGEST_BYTES + 4;
const FIXED_BYTES = SIGNED_AT + EPOCH_BYTES + 8 + 6 + 1 + REFERENCE_BYTES + 2 + 2;

const REJECTED = 1;
const REDACTED = 2;
const WITH_REDACTED_BODY = 4;

/** Encodes and verifies metadata with keys derived from one secret, one for each homeserver. */
export class MetadataCodec {
  readonly #secret: Uint8Array;
  readonly #keys = new Map<Homeserver, KeyObject>();

  constructor(secret: Uint8Array) {
    this.#secret = secret;
  }

  encode(homeserver: Homeserver, name: string, metadata: Metadata): Buffer {
    const { asOf, redactedBody, internalMetadata } = metadata;
    const reason = Buffer.from(metadata.rejectedReason);
    const redactedBy = Buffer.from(metadata.redactedBy ?? "");
    const redactedBytes = redactedBody === undefined ? 0 : REFERENCE_BYTES;
    const value = Buffer.allocUnsafe(
      FIXED_BYTES + redactedBytes + reason.length + redactedBy.length + internalMetadata.byteLength,
    );
    value.writeUInt8(FORMAT, 0);
    let at = SIGNED_AT + value.write(asOf.epoch, SIGNED_AT, "hex");
    at = value.writeBigUInt64BE(BigInt(asOf.sequence), at);
    at = value.writeUIntBE(metadata.expiresAtMs, at, 6);
    at = value.writeUInt8(flagsOf(metadata), at);
    at = writeReference(value, at, metadata.body);
    if (redactedBody !== undefined) at = writeReference(value, at, redactedBody);
    for (const text of [reason, redactedBy]) {
      at = value.writeUInt16BE(text.length, at);
      value.set(text, at);
      at += text.length;
    }
    value.set(internalMetadata, at);
    value.set(this.#macOf(homeserver, name, value), MAC_AT);
    return value;
  }

  /** The metadata in a value, its bytes as views of it, or why there is none. */
  decode(homeserver: Homeserver, name: string, value: Buffer): Metadata | Rejection {
    if (value[0] !== FORMAT) return "version";
    if (value.length < FIXED_BYTES) return "forged";
    const mac = value.subarray(MAC_AT, SIGNED_AT);
    if (!timingSafeEqual(mac, this.#macOf(homeserver, name, value))) return "forged";
    return decodeSigned(value);
  }

  /** Covers the version, the length and name of the key, and the bytes after the MAC in the value. */
  #macOf(homeserver: Homeserver, name: string, value: Buffer): Buffer {
    const mac = createHmac("sha256", this.#keyOf(homeserver));
    mac.update(`${FORMAT}:${name.length}:${name}`).update(value.subarray(SIGNED_AT));
    return mac.digest().subarray(0, MAC_BYTES);
  }

  #keyOf(homeserver: Homeserver): KeyObject {
    const known = this.#keys.get(homeserver);
    if (known !== undefined) return known;
    const info = `splitcache tier metadata\0${homeserver}`;
    const key = createSecretKey(Buffer.from(hkdfSync("sha256", this.#secret, "", info, DIGEST_BYTES)));
    if (this.#keys.size >= HOMESERVER_KEYS_MAX) this.#keys.clear();
    this.#keys.set(homeserver, key);
    return key;
  }
}

function flagsOf({ rejected, redactedBy, redactedBody }: Metadata): number {
  return (
    (rejected ? REJECTED : 0) |
    (redactedBy === undefined ? 0 : REDACTED) |
    (redactedBody === undefined ? 0 : WITH_REDACTED_BODY)
  );
}

/** Needs no checks: the MAC shows that a holder of the key wrote the whole value. */
function decodeSigned(value: Buffer): Metadata {
  const sequenceAt = SIGNED_AT + EPOCH_BYTES;
  const expiryAt = sequenceAt + 8;
  const flags = value.readUInt8(expiryAt + 6);
  let at = expiryAt + 7;
  const nextReference = () => {
    at += REFERENCE_BYTES;
    return readReference(value, at - REFERENCE_BYTES);
  };
  const nextText = () => {
    const start = at + 2;
    at = start + value.readUInt16BE(at);
    return value.toString("utf8", start, at);
  };
  const body = nextReference();
  const redactedBody = (flags & WITH_REDACTED_BODY) === 0 ? undefined : nextReference();
  const rejectedReason = nextText();
  const redactedBy = nextText();
  return {
    asOf: {
      epoch: value.toString("hex", SIGNED_AT, sequenceAt) as Epoch,
      sequence: Number(value.readBigUInt64BE(sequenceAt)),
    },
    expiresAtMs: value.readUIntBE(expiryAt, 6),
    body,
    redactedBody,
    rejected: (flags & REJECTED) !== 0,
    rejectedReason,
    redactedBy: (flags & REDACTED) === 0 ? undefined : (redactedBy as EventId),
    internalMetadata: value.subarray(at),
  };
}

function writeReference(value: Buffer, start: number, { digest, size }: BodyReference): number {
  value.set(digest, start);
  return value.writeUInt32BE(size, start + DIGEST_BYTES);
}

function readReference(value: Buffer, at: number): BodyReference {
  return { digest: value.subarray(at, at + DIGEST_BYTES), size: value.readUInt32BE(at + DIGEST_BYTES) };
}
