import type { Change, Epoch, EventId, RoomId } from "../../../core/model/types.js";

/** Recognises a change that this sidecar appended, when it is followed. */
export type ChangeToken = string;

export const TOKEN_BYTES = 8;
const VERSION = 1;
const HEADER_BYTES = 1 + TOKEN_BYTES;

/** A change as stored in the table: a version, the appender's token, and the change as a JSON array. */
export function encodeChange(token: ChangeToken, change: Change): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header[0] = VERSION;
  header.write(token, 1, "hex");
  return Buffer.concat([header, Buffer.from(JSON.stringify(fieldsOf(change)), "utf8")]);
}

export interface DecodedChange {
  readonly token: ChangeToken;
  /** Undefined: of a version or a kind that this version does not know, or damaged. */
  readonly change: Change | undefined;
}

/** Reads what `encodeChange` wrote. Never throws: a later version may have written anything. */
export function decodeChange(bytes: Buffer): DecodedChange {
  const token = bytes.toString("hex", 1, HEADER_BYTES);
  if (bytes[0] !== VERSION || bytes.length <= HEADER_BYTES) return { token, change: undefined };
  try {
    return { token, change: changeOf(JSON.parse(bytes.toString("utf8", HEADER_BYTES))) };
  } catch {
    return { token, change: undefined };
  }
}

/** How many event IDs a change counts for the bound of the table; a change without any counts as one. */
export function weightOf(change: Change): number {
  return change.kind === "invalidated" ? Math.max(1, change.eventIds.length) : 1;
}

/** An epoch as the tables keep it. */
export function bytesOf(epoch: Epoch): Buffer {
  return Buffer.from(epoch, "hex");
}

export function epochOf(bytes: Buffer): Epoch {
  return bytes.toString("hex") as Epoch;
}

function fieldsOf(change: Change): unknown[] {
  switch (change.kind) {
    case "redacted":
      return [change.kind, change.roomId ?? null, change.eventId, change.redactedBy];
    case "rejected":
      return [change.kind, change.roomId ?? null, change.eventId, change.rejected];
    case "invalidated":
      return [change.kind, change.roomId ?? null, change.eventIds];
    case "roomPurged":
      return [change.kind, change.roomId];
    case "homeserverPurged":
      return [change.kind];
  }
}

/** Another number of fields means a later version, which must not be interpreted. */
function changeOf(fields: unknown): Change | undefined {
  if (!Array.isArray(fields)) return undefined;
  const [kind, room, second, third] = fields as readonly unknown[];
  const roomId = room === null ? undefined : (room as RoomId);
  const isRoom = room === null || isText(room);
  switch (`${kind}/${fields.length}`) {
    case "redacted/4":
      if (!isRoom || !isText(second) || !isText(third)) return undefined;
      return { kind: "redacted", roomId, eventId: second as EventId, redactedBy: third as EventId };
    case "rejected/4":
      if (!isRoom || !isText(second) || typeof third !== "boolean") return undefined;
      return { kind: "rejected", roomId, eventId: second as EventId, rejected: third };
    case "invalidated/3":
      if (!isRoom || !Array.isArray(second) || second.length === 0 || !second.every(isText)) return undefined;
      return { kind: "invalidated", roomId, eventIds: second as EventId[] };
    case "roomPurged/2":
      return isText(room) ? { kind: "roomPurged", roomId: room as RoomId } : undefined;
    case "homeserverPurged/1":
      return { kind: "homeserverPurged" };
    default:
      return undefined;
  }
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}
