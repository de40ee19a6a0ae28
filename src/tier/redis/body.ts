import { createHash } from "node:crypto";
import type { NewEvent, RoomId } from "../../core/model/types.js";

/**
 * The part of an event that all homeservers share: room ID, room version and body.
 * Stored under the SHA-256 of these bytes: version (1), room ID and room version
 * (each after its length, in 2 bytes and 1), body. The metadata contains the
 * digest, which proves that a value is the stored one.
 */
export interface Body {
  readonly roomId: RoomId;
  readonly roomVersion: string;
  readonly body: Uint8Array;
}

/** The name of a body: the SHA-256 of its value, 32 bytes, and the length of its value. */
export interface BodyReference {
  readonly digest: Buffer;
  readonly size: number;
}

export const DIGEST_BYTES = 32;

const FORMAT = 1;
const HEAD_BYTES = 1 + 2 + 1;

/** The bytes of the body's value. */
function bodyValueBytes({ roomId, roomVersion, body }: Body): number {
  return HEAD_BYTES + Buffer.byteLength(roomId) + Buffer.byteLength(roomVersion) + body.byteLength;
}

/** A copy of the body as it is stored. */
export function encodeBody(body: Body): Buffer {
  const value = Buffer.allocUnsafe(bodyValueBytes(body));
  let at = value.writeUInt8(FORMAT, 0);
  at = value.writeUInt16BE(Buffer.byteLength(body.roomId), at);
  at += value.write(body.roomId, at);
  at = value.writeUInt8(Buffer.byteLength(body.roomVersion), at);
  at += value.write(body.roomVersion, at);
  value.set(body.body, at);
  return value;
}

export function referenceTo(value: Uint8Array): BodyReference {
  return { digest: createHash("sha256").update(value).digest(), size: value.byteLength };
}

/** Why a value is not used. `version`: of another version; `damaged`: not the value that was stored. */
export type BodyRejection = "version" | "damaged";

/** The body in a value, as a view of it, or why there is none. */
export function decodeBody(value: Buffer, { digest, size }: BodyReference): Body | BodyRejection {
  if (value.length !== size || !referenceTo(value).digest.equals(digest)) return "damaged";
  // The digest proves that a sidecar wrote it, but not that it was one of this version.
  if (value[0] !== FORMAT) return "version";
  const roomIdAt = 3;
  const roomIdEnd = roomIdAt + value.readUInt16BE(1);
  const bodyAt = roomIdEnd + 1 + value.readUInt8(roomIdEnd);
  return {
    roomId: value.toString("utf8", roomIdAt, roomIdEnd) as RoomId,
    roomVersion: value.toString("utf8", roomIdEnd + 1, bodyAt),
    body: value.subarray(bodyAt),
  };
}

/** The body of an event, and its redacted body if it has one. */
export function bodiesOf({ roomId, roomVersion, body, redaction }: NewEvent): readonly Body[] {
  const bodies = redaction?.redactedBody === undefined ? [body] : [body, redaction.redactedBody];
  return bodies.map((bytes) => ({ roomId, roomVersion, body: bytes }));
}
