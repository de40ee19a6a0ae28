import type { ReadRequest } from "../../core/store.js";
import type { EventId, Position, ReadResult, StoredEvent } from "../../core/types.js";
import type { LoadedBodies } from "./body-store.js";
import type { BodyReference, Entry } from "./entry.js";
import type { RemoteHomeserver } from "./remote-homeserver.js";

/** The bodies that an entry needs. */
export function referencesOf({ body, redactedBody }: Entry): BodyReference[] {
  return redactedBody === undefined ? [body] : [body, redactedBody];
}

/** What was found for a read. */
export interface Looked {
  readonly position: Position;
  readonly entries: readonly (Buffer | undefined)[];
  readonly decoded: readonly (Entry | undefined)[];
  readonly references: readonly (readonly BodyReference[])[];
  readonly bodies: LoadedBodies;
}

/** Joins metadata and bodies. */
export function readResult({ counters }: RemoteHomeserver, request: ReadRequest, looked: Looked): ReadResult {
  const { position, entries, decoded, references, bodies } = looked;
  let used = 0;
  let loaded = entries.length;
  const events = request.eventIds.map((eventId, at): StoredEvent | undefined => {
    const entry = decoded[at];
    used += references[at]!.length;
    if (used > bodies.loaded) loaded = Math.min(loaded, at);
    const event = entry && storedEvent(eventId, entry, at < loaded ? bodies : UNLOADED);
    if (event === undefined) {
      counters.misses[entries[at] === undefined ? "absent" : "orphaned"] += 1;
    } else if (
      request.view === "redacted" &&
      entry!.redactedBy !== undefined &&
      entry!.redactedBody === undefined
    ) {
      counters.misses.unredactable += 1;
      return undefined;
    } else counters.hits += 1;
    return event;
  });
  return { position, events, loaded };
}

function storedEvent(
  eventId: EventId,
  entry: Entry,
  bodies: Pick<LoadedBodies, "get">,
): StoredEvent | undefined {
  const frame = bodies.get(entry.body.digest);
  if (frame === undefined) return undefined;
  const { rejected, rejectedReason, redactedBy, internalMetadata } = entry;
  if (redactedBy === undefined) {
    return { eventId, frame, state: { rejected, rejectedReason, redaction: undefined }, internalMetadata };
  }
  const range = entry.redactedBody && bodies.get(entry.redactedBody.digest);
  if (entry.redactedBody !== undefined && range === undefined) return undefined;
  const redactedBody = range?.bytes.subarray(range.start, range.end);
  return {
    eventId,
    frame,
    state: { rejected, rejectedReason, redaction: { redactedBy, redactedBody } },
    internalMetadata,
  };
}

/** Stands for bodies that a reply has no room for. */
const EMPTY_RANGE = { bytes: Buffer.alloc(0), start: 0, end: 0 };
const UNLOADED = { get: () => EMPTY_RANGE };
