import { isDeepStrictEqual } from "node:util";
import { type CachedEvent, RedactionView } from "../../src/gen/splitcache/v1/event_cache_service.js";

/** The source of redacted bodies: the homeserver sends them with its writes, or the sidecar makes them. */
export type RedactedBodies = "given" | "made";

/**
 * Compares a hit with the stored event. Every byte must be equal, except that a
 * redacted body made by the sidecar is compared as JSON, without `unsigned`: the
 * specification drops it, but recorded homeservers keep a part of it. Returns the
 * name of the first field that differs, or undefined.
 */
export function differingField(
  hit: CachedEvent,
  stored: CachedEvent,
  view: RedactionView,
  redactedBodies: RedactedBodies,
): string | undefined {
  const { redaction } = stored;
  const sameRedactedBody = redactedBodies === "given" ? sameBytes : sameRedactedJson;
  const showsRedacted = view !== RedactionView.ORIGINAL && redaction !== undefined;
  const sameBody = showsRedacted
    ? sameRedactedBody(hit.body, redaction.redactedBody)
    : sameBytes(hit.body, stored.body);
  const shownRedactedBody = hit.redaction?.redactedBody ?? NO_BYTES;
  const sameHiddenBody =
    showsRedacted || redaction === undefined
      ? shownRedactedBody.length === 0
      : sameRedactedBody(shownRedactedBody, redaction.redactedBody);
  const checks: readonly (readonly [string, boolean])[] = [
    ["event_id", hit.eventId === stored.eventId],
    ["room_id", hit.roomId === stored.roomId],
    ["room_version", hit.roomVersion === stored.roomVersion],
    ["rejected", hit.rejected === stored.rejected],
    ["rejected_reason", hit.rejectedReason === stored.rejectedReason],
    ["redacted_by", hit.redaction?.redactedBy === redaction?.redactedBy],
    ["body", sameBody],
    ["redacted_body", sameHiddenBody],
    ["internal_metadata", sameBytes(hit.internalMetadata, stored.internalMetadata)],
  ];
  return checks.find(([, same]) => !same)?.[0];
}

const NO_BYTES = new Uint8Array();

function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0;
}

function sameRedactedJson(left: Uint8Array, right: Uint8Array): boolean {
  return isDeepStrictEqual(withoutUnsigned(left), withoutUnsigned(right));
}

/** Undefined if the bytes are not a JSON object. They then differ from every redacted event. */
function withoutUnsigned(bytes: Uint8Array): unknown {
  try {
    const { unsigned: _, ...event } = JSON.parse(Buffer.from(bytes).toString());
    return event;
  } catch {
    return undefined;
  }
}
