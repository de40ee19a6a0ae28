import { encodedBody, encodedRoomVersion } from "../../../../src/core/memory/encoded-event.js";
import { CacheError, type CacheErrorKind } from "../../../../src/core/model/errors.js";
import type { EventStore, PutRequest, ReadRequest } from "../../../../src/core/model/store.js";
import type { Position, PutOutcome, RedactionView, StoredEvent } from "../../../../src/core/model/types.js";
import { readEvents } from "../../store/read-events.js";
import type { SeenEvent } from "../oracle/event-facts.js";
import { SidecarLost } from "../runs/scheduler.js";

/** What clients call, whether it is in this process or behind a socket. */
export interface Sidecar extends Omit<EventStore, "getEvents" | "putEvents" | "stats" | "close"> {
  getEvents(request: ReadRequest): Promise<SeenReply>;
  putEvents(request: PutRequest): Promise<SeenPutResult>;
}

/** A reply without a position says that the sidecar is unverified: it counts as lost. */
export interface SeenPutResult {
  readonly outcomes: readonly PutOutcome[];
  readonly position: Position;
}

export interface SeenReply {
  readonly position: Position;
  /** One entry a requested ID, in order; undefined is a miss. */
  readonly events: readonly (SeenEvent | undefined)[];
}

/** A store, called directly. A store that has no place for a homeserver is lost to it. */
export function storeSidecar(store: EventStore): Sidecar {
  return {
    getEvents: (request) =>
      orLost(async () => {
        const { position, events } = await readEvents(store, request);
        return { position: verified(position), events: events.map((event) => event && seen(event, request)) };
      }),
    putEvents: (request) =>
      orLost(async () => {
        const { outcomes, position } = await store.putEvents(request);
        return { outcomes, position: verified(position) };
      }),
    setRedaction: (request) => orLost(() => store.setRedaction(request)),
    setRejected: (request) => orLost(() => store.setRejected(request)),
    invalidateEvents: (...named) => orLost(() => store.invalidateEvents(...named)),
    purgeRoom: (...named) => orLost(() => store.purgeRoom(...named)),
    purgeHomeserver: (...named) => orLost(() => store.purgeHomeserver(...named)),
    async *subscribe(request) {
      const frames = store.subscribe(request)[Symbol.asyncIterator]();
      try {
        for (;;) {
          const { done, value } = await orLost(() => frames.next());
          if (done === true) return;
          yield value;
        }
      } finally {
        await frames.return?.();
      }
    },
  };
}

/** It has no place for the homeserver, or no log. */
const LOST: ReadonlySet<CacheErrorKind> = new Set(["exhausted", "unavailable"]);

function verified(position: Position | undefined): Position {
  if (position === undefined) throw new SidecarLost("it is unverified");
  return position;
}

async function orLost<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (failure) {
    const isLost = failure instanceof CacheError && LOST.has(failure.kind);
    if (isLost) throw new SidecarLost(failure.message);
    throw failure;
  }
}

function seen({ eventId, encoded, state, internalMetadata }: StoredEvent, { view }: ReadRequest): SeenEvent {
  const { redaction } = state;
  const redactedBody = redaction?.redactedBody && text(redaction.redactedBody);
  return {
    eventId,
    roomId: roomOf(encoded),
    roomVersion: encodedRoomVersion(encoded),
    body: bodyIn(view, redaction !== undefined, text(encodedBody(encoded)), redactedBody),
    rejection: state.rejected ? state.rejectedReason : undefined,
    redactedBy: redaction?.redactedBy,
    redactedBody: view === "original" ? redactedBody : undefined,
    internalMetadata,
  };
}

function bodyIn(
  view: RedactionView,
  isRedacted: boolean,
  body: string,
  redactedBody: string | undefined,
): string {
  if (view === "original" || !isRedacted) return body;
  return redactedBody ?? "a redacted event that nobody could redact";
}

/** The room ID is the second field of a frame; each field here is shorter than 128 bytes. */
function roomOf({ bytes, start }: StoredEvent["encoded"]): string {
  const roomAt = start + 2 + bytes[start + 1]!;
  return bytes.toString("utf8", roomAt + 2, roomAt + 2 + bytes[roomAt + 1]!);
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("utf8");
}
