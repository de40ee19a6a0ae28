import {
  BODY_BYTES_MAX,
  INTERNAL_METADATA_BYTES_MAX,
  REJECTED_REASON_BYTES_MAX,
  ROOM_VERSION_BYTES_MAX,
} from "../../core/model/limits.js";
import type { NewEvent, Redaction } from "../../core/model/types.js";
import type * as wire from "../../gen/splitcache/v1/event_cache_service.js";
import type { RequestCheck } from "./request-check.js";
import { countProblem, requiredTextProblem, textProblem } from "./request-check.js";

/** Converts an event that a homeserver puts. `path` is its place in the request. */
export function fromCachedEvent(check: RequestCheck, path: string, event: wire.CachedEvent): NewEvent {
  const { roomVersion, body, internalMetadata, redaction } = event;
  const eventId = check.eventId(`${path}.event_id`, event.eventId);
  const roomId = check.roomId(`${path}.room_id`, event.roomId);
  check.note(`${path}.room_version`, requiredTextProblem(roomVersion, ROOM_VERSION_BYTES_MAX));
  check.note(`${path}.body`, bodyProblem(body));
  check.note(`${path}.rejected_reason`, textProblem(event.rejectedReason, REJECTED_REASON_BYTES_MAX));
  check.note(
    `${path}.internal_metadata`,
    countProblem(internalMetadata.byteLength, INTERNAL_METADATA_BYTES_MAX, "bytes"),
  );
  return {
    eventId,
    roomId,
    roomVersion,
    body,
    rejected: event.rejected,
    rejectedReason: event.rejectedReason,
    redaction: redaction === undefined ? undefined : fromRedaction(check, `${path}.redaction`, redaction),
    internalMetadata,
  };
}

/** Converts a redaction. `path` is its place in the request. */
export function fromRedaction(check: RequestCheck, path: string, redaction: wire.Redaction): Redaction {
  const { redactedBody } = redaction;
  check.note(`${path}.redacted_body`, countProblem(redactedBody.byteLength, BODY_BYTES_MAX, "bytes"));
  return {
    redactedBy: check.eventId(`${path}.redacted_by`, redaction.redactedBy),
    redactedBody: redactedBody.byteLength === 0 ? undefined : redactedBody,
  };
}

function bodyProblem(body: Uint8Array): string | undefined {
  return body.byteLength === 0 ? "is required" : countProblem(body.byteLength, BODY_BYTES_MAX, "bytes");
}
