import type {
  PutRequest,
  ReadRequest,
  SetRedactionRequest,
  SetRejectedRequest,
} from "../../../../src/core/model/store.js";
import type {
  Change,
  Epoch,
  EventId,
  Position,
  PutOutcome,
  RoomId,
  SetOutcome,
} from "../../../../src/core/model/types.js";
import { type Facts, factsOf, type SeenEvent, seenAs } from "./event-facts.js";

/**
 * What a sidecar is for one homeserver, in the fewest words: a map of entries, a
 * list of changes. It holds everything for ever and fences by
 * looking through the whole list, so that it has nothing to get wrong.
 */
export class ReferenceHomeserver {
  /** The current epoch, once a client has received it. */
  epoch: Epoch | undefined;
  /** The changes of this epoch: number n is at n - 1. */
  changes: Change[] = [];
  entries = new Map<EventId, Entry>();
  readonly #ttlMs: number;

  constructor(ttlMs: number) {
    this.#ttlMs = ttlMs;
  }

  get sequence(): number {
    return this.changes.length;
  }

  /** Everything begins anew in another epoch. */
  startEpoch(): void {
    this.epoch = undefined;
    this.changes = [];
    this.entries = new Map();
  }

  get({ eventIds, view, minPosition }: ReadRequest, nowMs: number): (SeenEvent | undefined)[] {
    const isBehind = minPosition !== undefined && !this.covers(minPosition);
    return eventIds.map((eventId) => {
      const entry = this.live(eventId, nowMs);
      if (entry === undefined || isBehind) return undefined;
      return seenAs(eventId, entry.facts, view);
    });
  }

  /** Judges a put; `reach` is the newest change that the log has let go. */
  judge(asOf: Position, eventId: EventId, roomId: RoomId, reach: number): PutOutcome {
    if (!this.covers(asOf)) return "wrongEpoch";
    if (asOf.sequence < reach) return "tooOld";
    return this.changes.slice(asOf.sequence).some((change) => concerns(change, eventId, roomId))
      ? "fenced"
      : "stored";
  }

  put({ events, asOf }: PutRequest, reach: number, nowMs: number): PutOutcome[] {
    const last = new Map(events.map((event) => [event.eventId, event]));
    const outcomes = new Map(
      [...last.values()].map(({ eventId, roomId }) => [eventId, this.judge(asOf, eventId, roomId, reach)]),
    );
    for (const [eventId, event] of last) {
      if (outcomes.get(eventId) !== "stored") continue;
      this.entries.set(eventId, { facts: factsOf(event), expiresAtMs: nowMs + this.#ttlMs });
    }
    return events.map(({ eventId }) => outcomes.get(eventId)!);
  }

  /** Announces a change; drops what it outdates, except if a Set… writes its value through. */
  set(
    request: SetRedactionRequest | SetRejectedRequest,
    change: Change,
    changed: Partial<Facts>,
    reach: number,
    nowMs: number,
  ): SetOutcome {
    const { eventId, roomId, asOf } = request;
    const entry = this.live(eventId, nowMs);
    const entryRoom = entry?.facts.row?.roomId;
    const applies =
      entryRoom !== undefined &&
      asOf !== undefined &&
      (roomId === undefined || roomId === entryRoom) &&
      this.judge(asOf, eventId, entryRoom, reach) === "stored";
    this.announce(change);
    if (entry === undefined) return "absent";
    if (!applies) return "dropped";
    this.entries.set(eventId, { ...entry, facts: { ...entry.facts, ...changed } });
    return "applied";
  }

  announce(change: Change): void {
    this.changes.push(change);
    for (const [eventId, { facts }] of [...this.entries]) {
      if (concerns(change, eventId, facts.row?.roomId)) this.entries.delete(eventId);
    }
  }

  live(eventId: EventId, nowMs: number): Entry | undefined {
    const entry = this.entries.get(eventId);
    return entry !== undefined && nowMs < entry.expiresAtMs ? entry : undefined;
  }

  /** Whether this log has been at a position, in this epoch. */
  covers({ epoch, sequence }: Position): boolean {
    return epoch === this.epoch && sequence <= this.sequence;
  }
}

interface Entry {
  readonly facts: Facts;
  readonly expiresAtMs: number;
}

/** Whether a change outdates what is known of an event that lies in a room. */
export function concerns(change: Change, eventId: string, roomId: string | undefined): boolean {
  switch (change.kind) {
    case "redacted":
    case "rejected":
      return change.eventId === eventId;
    case "invalidated":
      return change.eventIds.some((one) => one === eventId);
    case "roomPurged":
      return change.roomId === roomId;
    case "homeserverPurged":
      return true;
  }
}
