import type { SidecarConnection } from "../../src/cli/client/connection.js";
import { terminalText } from "../../src/cli/io/text.js";
import { chunks } from "../../src/client/events.js";
import { BATCH_MAX } from "../../src/core/model/limits.js";
import {
  type CachedEvent,
  EventCacheServiceService as Calls,
  RedactionView,
} from "../../src/gen/splitcache/v1/event_cache_service.js";
import type { ReplayObserver } from "./replay.js";
import type { Announcement } from "./replay-client.js";
import type { InvalidationCause } from "./trace-database.js";

/** A change, and the events that a reader got just before and just after it. */
export interface ObservedChange {
  readonly change: Announcement;
  readonly before: readonly CachedEvent[];
  readonly after: readonly CachedEvent[];
}

const PREVIEW_CHARACTERS = 56;

/** Reads the events of every change before and after it, on a connection of its own, like another worker. */
export class ChangeObserver implements ReplayObserver {
  readonly changes: ObservedChange[] = [];
  readonly #connection: SidecarConnection;
  readonly #homeserver: string;
  #before: readonly CachedEvent[] = [];

  constructor(connection: SidecarConnection, homeserver: string) {
    this.#connection = connection;
    this.#homeserver = homeserver;
  }

  async before(change: Announcement): Promise<void> {
    this.#before = await this.#read(eventIdsOf(change));
  }

  async after(change: Announcement): Promise<void> {
    this.changes.push({ change, before: this.#before, after: await this.#read(eventIdsOf(change)) });
  }

  async #read(eventIds: readonly string[]): Promise<readonly CachedEvent[]> {
    const events: CachedEvent[] = [];
    for (const ids of chunks(eventIds, BATCH_MAX)) {
      const redactionView = RedactionView.REDACTED;
      const request = { homeserver: this.#homeserver, eventIds: ids, redactionView, minPosition: undefined };
      events.push(...(await this.#connection.call(Calls.getEvents, request)).events);
    }
    return events;
  }
}

/** Formats a change in three lines: the change, the result of a read before it, and of a read after it. */
export function formatChange({ change, before, after }: ObservedChange): string {
  const eventIds = eventIdsOf(change);
  const lines = [
    headline(change, eventIds.length),
    `  before  ${readResult(before, eventIds)}`,
    `  after   ${readResult(after, eventIds)}`,
  ];
  return lines.map((line) => `${terminalText(line)}\n`).join("");
}

const CAUSES: Readonly<Record<InvalidationCause, string>> = {
  redaction: "redaction took or lost effect",
  outlier: "event is no longer an outlier",
  censor: "redacted event was censored",
  expire: "event expired",
  purge_history: "history purged",
};

function headline(change: Announcement, count: number): string {
  const events = count === 1 ? "one event" : `${count} events`;
  switch (change.kind) {
    case "redacted":
      return `redaction: ${change.eventId} by ${change.redaction.redactedBy}`;
    case "rejected":
      return `${change.reason === undefined ? "rejection cleared" : "rejection"}: ${change.eventId}`;
    case "invalidated":
      return `${CAUSES[change.cause]}: ${events} in ${change.roomId}`;
    case "roomPurged":
      return `room purged: ${events} in ${change.roomId}`;
  }
}

function readResult(events: readonly CachedEvent[], eventIds: readonly string[]): string {
  if (eventIds.length > 1) return `${events.length} of ${eventIds.length} events served`;
  const [event] = events;
  if (event === undefined) return "miss: the reader queries the database";
  const rejected = event.rejected ? `, rejected (${event.rejectedReason})` : "";
  const redacted = event.redaction === undefined ? "" : ", redacted";
  return `${preview(event.body)}${redacted}${rejected}`;
}

/** The event's type and the start of its content. */
function preview(body: Uint8Array): string {
  const { type, content } = JSON.parse(Buffer.from(body).toString());
  const text = JSON.stringify(content);
  const shown = text.length > PREVIEW_CHARACTERS ? `${text.slice(0, PREVIEW_CHARACTERS)}…` : text;
  return `${type} ${shown}`;
}

function eventIdsOf(change: Announcement): readonly string[] {
  return "eventIds" in change ? change.eventIds : [change.eventId];
}
