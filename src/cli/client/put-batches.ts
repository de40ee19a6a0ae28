import { BATCH_MAX, REQUEST_BYTES_MAX } from "../../core/model/limits.js";
import type { CachedEvent } from "../../gen/splitcache/v1/event_cache_service.js";

/** What the homeserver's name and the position of a request take, generously. */
const ENVELOPE_BYTES = 1024;
/** Tags and lengths of the fields of one event, generously. */
const EVENT_OVERHEAD_BYTES = 64;

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

/** At least the bytes that an event takes in a request. */
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
