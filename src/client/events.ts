import type { CachedEvent } from "../gen/splitcache/v1/event_cache_service.js";
import { EVENT_IDS_MAX, REQUEST_BYTES_MAX } from "./limits.js";

/** An event to put: what a homeserver's database has of it. */
export interface EventToPut {
  readonly eventId: string;
  readonly roomId: string;
  readonly roomVersion: string;
  /** The event's JSON text. */
  readonly body: Uint8Array | string;
  readonly rejected?: boolean | undefined;
  readonly rejectedReason?: string | undefined;
  readonly redaction?:
    | { readonly redactedBy: string; readonly redactedBody?: Uint8Array | string }
    | undefined;
  readonly internalMetadata?: Uint8Array | undefined;
}

const NOTHING = Buffer.alloc(0);

/** The wire form of an event to put. */
export function wireEvent(event: EventToPut): CachedEvent {
  const { redaction } = event;
  return {
    eventId: event.eventId,
    roomId: event.roomId,
    roomVersion: event.roomVersion,
    body: bufferOf(event.body),
    rejected: event.rejected ?? false,
    rejectedReason: event.rejectedReason ?? "",
    redaction: redaction && {
      redactedBy: redaction.redactedBy,
      redactedBody: bufferOf(redaction.redactedBody),
    },
    internalMetadata: bufferOf(event.internalMetadata),
  };
}

/** An event as callers see it under the redacted view: what a database gave is not redacted here. */
function bufferOf(bytes: Uint8Array | string | undefined): Buffer {
  if (bytes === undefined) return NOTHING;
  if (typeof bytes === "string") return Buffer.from(bytes);
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * An event of a reply, frozen, with bodies of its own: small ones share a block of memory with their neighbours
 * otherwise, and a kept event would hold all of it.
 */
export function sharedEvent(event: CachedEvent): Readonly<CachedEvent> {
  const { redaction } = event;
  return Object.freeze({
    ...event,
    body: ownBytes(event.body),
    internalMetadata: ownBytes(event.internalMetadata),
    redaction: redaction && Object.freeze({ ...redaction, redactedBody: ownBytes(redaction.redactedBody) }),
  });
}

function ownBytes(bytes: Buffer): Buffer {
  if (bytes.length === 0) return NOTHING;
  if (bytes.length === bytes.buffer.byteLength) return bytes;
  const own = Buffer.allocUnsafeSlow(bytes.length);
  bytes.copy(own);
  return own;
}

/** An upper bound of the bytes of a request's homeserver name and position. */
const ENVELOPE_BYTES = 1024;
/** An upper bound of the bytes of the tags and lengths of one event's fields. */
const EVENT_OVERHEAD_BYTES = 64;

/** Splits a list, in order, into pieces of at most `size`. */
export function chunks<T>(list: readonly T[], size: number): T[][] {
  const pieces: T[][] = [];
  for (let start = 0; start < list.length; start += size) pieces.push(list.slice(start, start + size));
  return pieces;
}

/** Splits events, in order, into batches that each fit into one PutEvents call. */
export function putBatches(events: readonly CachedEvent[]): CachedEvent[][] {
  const batches: CachedEvent[][] = [];
  let bytesLeft = 0;
  for (const event of events) {
    const bytes = encodedBytesMax(event);
    const last = batches.at(-1);
    if (last === undefined || last.length === EVENT_IDS_MAX || bytes > bytesLeft) {
      batches.push([event]);
      bytesLeft = REQUEST_BYTES_MAX - ENVELOPE_BYTES - bytes;
    } else {
      last.push(event);
      bytesLeft -= bytes;
    }
  }
  return batches;
}

/** An upper bound of the bytes of an event in a request. */
function encodedBytesMax(event: CachedEvent): number {
  const texts = [event.eventId, event.roomId, event.roomVersion, event.rejectedReason];
  const redactedBy = event.redaction?.redactedBy ?? "";
  return (
    [...texts, redactedBy].reduce((bytes, text) => bytes + Buffer.byteLength(text), EVENT_OVERHEAD_BYTES) +
    event.body.length +
    (event.redaction?.redactedBody.length ?? 0) +
    event.internalMetadata.length
  );
}
