import type { EventId, NewEvent, RedactionView, RoomId } from "../../../../src/core/model/types.js";

/** All that a homeserver's database says of one event; each fact changes on its own. */
export interface Facts {
  readonly row: Row | undefined;
  /** Why the event is rejected; undefined if it is not. */
  readonly rejection: string | undefined;
  readonly redaction: { readonly by: EventId; readonly body: string | undefined } | undefined;
}

export type Fact = keyof Facts;

export interface Row {
  readonly roomId: RoomId;
  readonly roomVersion: string;
  readonly text: string;
  /** Names the homeserver and the commit that wrote the row, so that no two rows look alike. */
  readonly internalMetadata: string;
}

export const NO_FACTS: Facts = { row: undefined, rejection: undefined, redaction: undefined };

/** The text of an event so large that a few of them fill a small cache. */
export const LONG_TEXT = "long";
const PADDING = "-".repeat(2000);

/** A room version whose redaction algorithm nobody knows. */
export const UNKNOWN_VERSION = "unheard-of";

/** An event as a reader gets it, in words that compare. */
export interface SeenEvent {
  readonly eventId: string;
  readonly roomId: string;
  readonly roomVersion: string;
  readonly body: string;
  readonly rejection: string | undefined;
  readonly redactedBy: string | undefined;
  /** Only in the original view. */
  readonly redactedBody: string | undefined;
  readonly internalMetadata: string;
}

/** How an event must look to a reader if these are its facts; undefined if it must be missing. */
export function seenAs(eventId: EventId, facts: Facts, view: RedactionView): SeenEvent | undefined {
  const { row, rejection, redaction } = facts;
  if (row === undefined) return undefined;
  const { roomId, roomVersion, internalMetadata } = row;
  const redactedBody = redaction && (redaction.body ?? redactedText(row));
  const body =
    redaction !== undefined && view === "redacted" ? redactedBody : eventText(row.roomId, row.text);
  if (body === undefined) return undefined;
  return {
    eventId,
    roomId,
    roomVersion,
    body,
    rejection,
    redactedBy: redaction?.by,
    redactedBody: view === "original" ? redactedBody : undefined,
    internalMetadata,
  };
}

/** Whether two readers saw the same. */
export function isSame(one: SeenEvent | undefined, other: SeenEvent | undefined): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** The event as its homeserver puts it. */
export function newEvent(eventId: EventId, row: Row, { rejection, redaction }: Facts): NewEvent {
  return {
    eventId,
    roomId: row.roomId,
    roomVersion: row.roomVersion,
    body: Buffer.from(eventText(row.roomId, row.text)),
    rejected: rejection !== undefined,
    rejectedReason: rejection ?? "",
    redaction: redaction && {
      redactedBy: redaction.by,
      redactedBody: redaction.body === undefined ? undefined : Buffer.from(redaction.body),
    },
    internalMetadata: Buffer.from(row.internalMetadata),
  };
}

/** What a put says of its event: the reverse of `newEvent`. */
export function factsOf(event: NewEvent): Facts {
  const { roomId, roomVersion, rejected, rejectedReason, redaction } = event;
  const { content } = JSON.parse(textOf(event.body)) as { content: { body: string } };
  return {
    row: { roomId, roomVersion, text: content.body, internalMetadata: textOf(event.internalMetadata) },
    rejection: rejected ? rejectedReason : undefined,
    redaction: redaction && {
      by: redaction.redactedBy,
      body: redaction.redactedBody && textOf(redaction.redactedBody),
    },
  };
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString();
}

/** What the redaction algorithm leaves of such an event: its content goes. */
function redactedText({ roomId, roomVersion }: Row): string | undefined {
  return roomVersion === UNKNOWN_VERSION ? undefined : eventText(roomId, undefined);
}

function eventText(roomId: RoomId, text: string | undefined): string {
  const content = text === undefined ? {} : { body: text, padding: text === LONG_TEXT ? PADDING : "" };
  return JSON.stringify({ type: "m.room.message", room_id: roomId, sender: "@user:alpha.example", content });
}
