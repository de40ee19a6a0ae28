import type { EventId, Position, RoomId } from "../../../../src/core/model/types.js";
import { type Facts, NO_FACTS } from "../oracle/event-facts.js";
import type { Announcement } from "../oracle/truth.js";
import type { TestHomeserver } from "./test-homeserver.js";

/** What a writer may do to its homeserver's events. */
export type Plan =
  | {
      readonly kind: "redact";
      readonly eventId: EventId;
      readonly givesBody: boolean;
      readonly room: NamedRoom;
    }
  | {
      readonly kind: "reject";
      readonly eventId: EventId;
      readonly rejected: boolean;
      readonly room: NamedRoom;
    }
  | { readonly kind: "restore"; readonly eventId: EventId }
  | { readonly kind: "rewrite"; readonly eventId: EventId; readonly text: string }
  | { readonly kind: "delete"; readonly eventIds: readonly EventId[] }
  | { readonly kind: "move"; readonly eventId: EventId; readonly roomId: RoomId }
  | { readonly kind: "purgeRoom"; readonly roomId: RoomId }
  | { readonly kind: "purgeHomeserver"; readonly newEpoch: boolean };

/** The room that a Set… names: none, the event's, or another. */
export type NamedRoom = "none" | "own" | "other";

/** A change on its way: first into the database, then to the sidecar, as often as it takes. */
export interface Change {
  commit(): void;
  /** Makes the call that announces it; acknowledged once it returns, lost with the sidecar if it rejects. */
  announce(asOf: Position | undefined): Promise<void>;
}

export function makeChange(homeserver: TestHomeserver, plan: Plan): Change {
  let ownCommit = 0;
  return {
    commit() {
      ownCommit = homeserver.database.commit(changedFacts(homeserver, plan));
    },
    async announce(asOf) {
      // A call that writes no value through also covers what others have committed before it.
      const commit = named(plan).fact === undefined ? homeserver.database.commits : ownCommit;
      const position = await call(homeserver, plan, ownCommit, asOf);
      homeserver.announcements.push({ ...named(plan), commit, position });
    },
  };
}

function changedFacts(homeserver: TestHomeserver, plan: Plan): Map<EventId, Partial<Facts>> {
  const { database } = homeserver;
  const commit = database.commits + 1;
  switch (plan.kind) {
    case "redact":
      return new Map([[plan.eventId, { redaction: redactionOf(commit, plan.givesBody) }]]);
    case "reject":
      return new Map([[plan.eventId, { rejection: plan.rejected ? reasonOf(commit) : undefined }]]);
    case "restore":
      return new Map([[plan.eventId, { redaction: undefined, rejection: undefined }]]);
    case "rewrite":
    case "move": {
      const { row } = database.read(plan.eventId);
      if (row === undefined) return new Map();
      const roomId = plan.kind === "move" ? plan.roomId : row.roomId;
      const text = plan.kind === "rewrite" ? plan.text : row.text;
      return new Map([[plan.eventId, { row: homeserver.newRow(roomId, row.roomVersion, text) }]]);
    }
    case "delete":
      return new Map(plan.eventIds.map((eventId) => [eventId, NO_FACTS]));
    case "purgeRoom": {
      const inRoom = database
        .events()
        .filter((eventId) => database.read(eventId).row?.roomId === plan.roomId);
      return new Map(inRoom.map((eventId) => [eventId, NO_FACTS]));
    }
    case "purgeHomeserver":
      return new Map(database.events().map((eventId) => [eventId, NO_FACTS]));
  }
}

function named(plan: Plan): Pick<Announcement, "eventIds" | "roomId" | "fact"> {
  switch (plan.kind) {
    case "redact":
      return { eventIds: [plan.eventId], fact: "redaction" };
    case "reject":
      return { eventIds: [plan.eventId], fact: "rejection" };
    case "restore":
    case "rewrite":
    case "move":
      return { eventIds: [plan.eventId] };
    case "delete":
      return { eventIds: plan.eventIds };
    case "purgeRoom":
      return { roomId: plan.roomId };
    case "purgeHomeserver":
      return {};
  }
}

async function call(
  { name: homeserver, sidecar, database }: TestHomeserver,
  plan: Plan,
  commit: number,
  asOf: Position | undefined,
): Promise<Position> {
  switch (plan.kind) {
    case "redact": {
      const { eventId, givesBody } = plan;
      const { by, body } = redactionOf(commit, givesBody);
      const redaction = { redactedBy: by, redactedBody: body === undefined ? undefined : Buffer.from(body) };
      const roomId = roomNamed(database.read(eventId), plan.room);
      return (await sidecar.setRedaction({ homeserver, roomId, eventId, redaction, asOf })).position;
    }
    case "reject": {
      const { eventId, rejected } = plan;
      const rejectedReason = rejected ? reasonOf(commit) : "";
      const roomId = roomNamed(database.read(eventId), plan.room);
      return (await sidecar.setRejected({ homeserver, roomId, eventId, rejected, rejectedReason, asOf }))
        .position;
    }
    case "restore":
    case "rewrite":
    case "move":
      return sidecar.invalidateEvents(homeserver, undefined, [plan.eventId]);
    case "delete":
      return sidecar.invalidateEvents(homeserver, undefined, plan.eventIds);
    case "purgeRoom":
      return sidecar.purgeRoom(homeserver, plan.roomId);
    case "purgeHomeserver":
      return sidecar.purgeHomeserver(homeserver, plan.newEpoch);
  }
}

function roomNamed({ row }: Facts, room: NamedRoom): RoomId | undefined {
  if (room === "none") return undefined;
  return room === "own" ? row?.roomId : ("!elsewhere:alpha.example" as RoomId);
}

function redactionOf(commit: number, givesBody: boolean) {
  return {
    by: `$redaction-${commit}` as EventId,
    body: givesBody ? `{"redacted":${commit}}` : undefined,
  };
}

function reasonOf(commit: number): string {
  return `reason ${commit}`;
}
