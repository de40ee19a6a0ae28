import { randomBytes } from "node:crypto";
import { EVENT_IDS_MAX } from "../limits.js";

/** What a transaction owes: the changes of its commit. */
export interface Changes {
  /** Event IDs by room ID; "" if the room is not known. */
  readonly events?: Readonly<Record<string, readonly string[]>> | undefined;
  /** Rooms that changed as a whole. */
  readonly rooms?: readonly string[] | undefined;
  /** Whether anything may have changed. */
  readonly homeserver?: boolean | undefined;
}

/** A row of the outbox. */
export interface OutboxRow {
  readonly id: string;
  readonly announcement: string;
}

/** One call of an announcement. */
export type AnnouncementCall =
  | { readonly kind: "events"; readonly roomId: string; readonly eventIds: readonly string[] }
  | { readonly kind: "room"; readonly roomId: string }
  | { readonly kind: "homeserver" };

const VERSION = 1;

/** Makes a row. Its ID is random, and new for each attempt. Throws a TypeError if nothing changed. */
export function outboxRow({ events = {}, rooms = [], homeserver = false }: Changes): OutboxRow {
  const id = randomBytes(16).toString("hex");
  if (homeserver) return { id, announcement: JSON.stringify({ version: VERSION, homeserver }) };
  if (rooms.length === 0 && Object.values(events).every((ids) => ids.length === 0))
    throw new TypeError("changes: must name an event, a room or the homeserver");
  return { id, announcement: JSON.stringify({ version: VERSION, rooms, events }) };
}

/** The calls that announce what a row says. What cannot be read may concern everything. */
export function callsOf(announcement: string): readonly AnnouncementCall[] {
  const everything: AnnouncementCall[] = [{ kind: "homeserver" }];
  const { version, homeserver, rooms, events } = parse(announcement);
  if (version !== VERSION || homeserver === true || !isTexts(rooms) || !isRecord(events)) return everything;
  const calls: AnnouncementCall[] = rooms.map((roomId) => ({ kind: "room", roomId }));
  for (const [roomId, ids] of Object.entries(events)) {
    if (!isTexts(ids)) return everything;
    for (let start = 0; start < ids.length; start += EVENT_IDS_MAX)
      calls.push({ kind: "events", roomId, eventIds: ids.slice(start, start + EVENT_IDS_MAX) });
  }
  return calls.length === 0 ? everything : calls;
}

function parse(text: string): Readonly<Record<string, unknown>> {
  try {
    const parsed: unknown = JSON.parse(text);
    return isRecord(parsed) ? parsed : {};
  } catch {
    return {};
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((each) => typeof each === "string");
}
