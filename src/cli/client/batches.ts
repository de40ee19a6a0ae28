import { BATCH_MAX, REQUEST_BYTES_MAX } from "../../core/model/limits.js";
import type { CachedEvent } from "../../gen/splitcache/v1/event_cache_service.js";

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
    if (last === undefined || last.length === BATCH_MAX || bytes > bytesLeft) {
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
