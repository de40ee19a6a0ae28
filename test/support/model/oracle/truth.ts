import type { EventId, Position, RedactionView, RoomId } from "../../../../src/core/model/types.js";
import type { Database } from "./database.js";
import { type Fact, isSame, type SeenEvent, seenAs } from "./event-facts.js";

/** A call that made a change known, or should have. */
export interface Announcement {
  /** What it named: events by ID, a room, or, with neither, all of the homeserver. */
  readonly eventIds?: readonly EventId[];
  readonly roomId?: RoomId;
  /** The one fact that changed; otherwise all may have. */
  readonly fact?: Fact;
  /** The newest commit that it makes known. */
  readonly commit: number;
  /** Its place in the log. */
  readonly position: Position;
}

/** How many events were read in this process, and how many of them were there to be compared. */
export const tally = { reads: 0, hits: 0 };

/**
 * Why a reader must not be served what it saw, if it must not: each fact must be
 * a state that the database has had since the newest of the announcements that name
 * the event.
 */
export function staleness(
  database: Database,
  announcements: readonly Announcement[],
  seen: SeenEvent,
  view: RedactionView,
): string | undefined {
  const eventId = seen.eventId as EventId;
  const since = <F extends Fact>(fact: F) => {
    const binding = announcements.filter((one) => names(one, seen) && (one.fact ?? fact) === fact);
    return database.since(eventId, fact, Math.max(0, ...binding.map(({ commit }) => commit)));
  };
  const redactions = since("redaction");
  const rejections = since("rejection");
  for (const row of since("row")) {
    for (const redaction of redactions) {
      for (const rejection of rejections) {
        if (isSame(seenAs(eventId, { row, redaction, rejection }, view), seen)) return undefined;
      }
    }
  }
  const newest = JSON.stringify(database.read(eventId));
  return `outdated: ${JSON.stringify(seen)} in the ${view} view, while the database says ${newest}`;
}

function names({ eventIds, roomId }: Announcement, seen: SeenEvent): boolean {
  if (eventIds !== undefined) return eventIds.includes(seen.eventId as EventId);
  return roomId === undefined || roomId === seen.roomId;
}
