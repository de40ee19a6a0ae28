import type { ReadRequest } from "../../core/store.js";
import type { ByteRange, EventId, Position, ReadResult, StoredEvent } from "../../core/types.js";
import type { LoadedBodies } from "./body-store.js";
import type { BodyReference, Entry, NoEntry } from "./entry.js";
import type { RemoteHomeserver } from "./remote-homeserver.js";

/** The bodies that entries need, in their order. */
export function referencesOf(entries: readonly (Entry | NoEntry)[]): BodyReference[] {
  const references: BodyReference[] = [];
  for (const entry of entries) {
    if (typeof entry === "string") continue;
    references.push(entry.body);
    if (entry.redactedBody !== undefined) references.push(entry.redactedBody);
  }
  return references;
}

/** What was found for a read: its bodies are those of `referencesOf` its entries. */
export interface Looked {
  readonly position: Position;
  readonly entries: readonly (Entry | NoEntry)[];
  readonly bodies: LoadedBodies;
}

/** Joins metadata and bodies. */
export function readResult({ counters }: RemoteHomeserver, request: ReadRequest, looked: Looked): ReadResult {
  const { position, entries, bodies } = looked;
  let used = 0;
  let loaded = entries.length;
  const events = entries.map((entry, at): StoredEvent | undefined => {
    if (typeof entry === "string") {
      counters.misses[entry] += 1;
      return undefined;
    }
    const { redactedBy, redactedBody } = entry;
    const own = used;
    used += redactedBody === undefined ? 1 : 2;
    if (used > bodies.length) loaded = Math.min(loaded, at);
    const isLoaded = at < loaded;
    const frame = isLoaded ? bodies[own] : EMPTY_RANGE;
    const redacted = redactedBody && (isLoaded ? bodies[own + 1] : EMPTY_RANGE);
    if (frame === undefined || (redactedBody !== undefined && redacted === undefined)) {
      counters.misses.orphaned += 1;
      return undefined;
    }
    if (request.view === "redacted" && redactedBy !== undefined && redactedBody === undefined) {
      counters.misses.unredactable += 1;
      return undefined;
    }
    counters.hits += 1;
    return storedEvent(request.eventIds[at]!, entry, frame, redacted);
  });
  return { position, events, loaded };
}

function storedEvent(
  eventId: EventId,
  { rejected, rejectedReason, redactedBy, internalMetadata }: Entry,
  frame: ByteRange,
  redacted: ByteRange | undefined,
): StoredEvent {
  const redaction =
    redactedBy === undefined
      ? undefined
      : { redactedBy, redactedBody: redacted?.bytes.subarray(redacted.start, redacted.end) };
  return { eventId, frame, state: { rejected, rejectedReason, redaction }, internalMetadata };
}

/** Stands for bodies that a reply has no room for. */
const EMPTY_RANGE: ByteRange = { bytes: Buffer.alloc(0), start: 0, end: 0 };
