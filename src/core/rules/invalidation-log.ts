import { MAP_SLOT_BYTES, stringBytes } from "../memory/heap-cost.js";
import { BATCH_BYTES_MAX, BATCH_NOTICES_MAX } from "../model/limits.js";
import type { Batch, Change, EventId, Notice, Position, ResetReason, RoomId } from "../model/types.js";

/** What the fence says of a write: `stored` is the one that lets it through. */
export type FenceVerdict = "stored" | "fenced" | "tooOld" | "wrongEpoch";

/**
 * The invalidation log of one homeserver: a ring of its newest changes, one
 * sequence number each, without gaps. It fences writes, and it is what
 * subscribers read; nothing about subscribers is kept here.
 */
export class InvalidationLog {
  #position: Position;
  #bytesMax: number;
  readonly #eventIdsMax: number;

  /** The ring: `#notices[#head]` is the oldest that is held, and before it is nothing but places. */
  #notices: Notice[] = [];
  #head = 0;
  #bytes = 0;
  #eventIds = 0;
  /** The sequence number of the newest change that is no longer held. */
  #trimmedThrough = 0;

  /** The fence: the newest held change of each event, of each room, of everything. */
  #eventFence = new Map<EventId, number>();
  #roomFence = new Map<RoomId, number>();
  #homeserverFence = 0;

  /** The newest batches made since the last change, by where they begin, so that subscribers share them. */
  #batches = new Map<number, Batch>();

  constructor(position: Position, bounds: { readonly bytesMax: number; readonly eventIdsMax: number }) {
    this.#position = position;
    this.#trimmedThrough = position.sequence;
    this.#bytesMax = bounds.bytesMax;
    this.#eventIdsMax = bounds.eventIdsMax;
  }

  /** The position after the newest change; the same object until the next one. */
  get position(): Position {
    return this.#position;
  }

  get size(): {
    readonly changes: number;
    readonly eventIds: number;
    readonly bytes: number;
    readonly bytesMax: number;
  } {
    return {
      changes: this.#notices.length - this.#head,
      eventIds: this.#eventIds,
      bytes: this.#bytes,
      bytesMax: this.#bytesMax,
    };
  }

  /**
   * Starts anew after a position: nothing from before it can be fenced or resumed.
   * Not 0 where this is the copy of a log whose beginning was trimmed.
   */
  restart(position: Position): void {
    const { sequence } = position;
    this.#position = position;
    this.#notices = [];
    this.#head = 0;
    this.#bytes = 0;
    this.#eventIds = 0;
    this.#trimmedThrough = sequence;
    this.#eventFence = new Map();
    this.#roomFence = new Map();
    this.#homeserverFence = 0;
    this.#batches.clear();
  }

  append(change: Change): Position {
    const sequence = this.#position.sequence + 1;
    this.#position = { epoch: this.#position.epoch, sequence };
    this.#notices.push({ sequence, change });
    this.#bytes += changeBytes(change);
    this.#eventIds += eventIdsOf(change).length;
    this.#raiseFence(change, sequence);
    this.#batches.clear();
    this.#trim();
    return this.#position;
  }

  /** Changes how many bytes the log may hold; the oldest changes beyond are dropped. */
  setBytesMax(bytesMax: number): void {
    this.#bytesMax = bytesMax;
    this.#trim();
  }

  /**
   * Judges a write of an event by the position that its writer had before it
   * read its database: it passes only if the log shows that nothing that was
   * announced since outdates the event.
   */
  judge(asOf: Position, eventId: EventId, roomId: RoomId): FenceVerdict {
    if (!this.#covers(asOf)) return "wrongEpoch";
    if (asOf.sequence < this.#trimmedThrough) return "tooOld";
    const fence = Math.max(
      this.#eventFence.get(eventId) ?? 0,
      this.#roomFence.get(roomId) ?? 0,
      this.#homeserverFence,
    );
    return fence > asOf.sequence ? "fenced" : "stored";
  }

  /** Whether a subscriber that has applied `position` can go on from there, else why not. */
  resume(position: Position): ResetReason | undefined {
    if (!this.#covers(position)) return "wrongEpoch";
    return position.sequence < this.#trimmedThrough ? "tooOld" : undefined;
  }

  /**
   * The changes after a position from which `resume` allows to go on, as many
   * as fit into a batch; undefined if there are none. All who ask at the same
   * place between two changes get the same object.
   */
  readAfter(from: Position): Batch | undefined {
    if (from.sequence >= this.#position.sequence) return undefined;
    const shared = this.#batches.get(from.sequence);
    if (shared !== undefined) return shared;
    const first = this.#head + from.sequence - this.#trimmedThrough;
    let bytes = 0;
    let end = first;
    while (end < this.#notices.length && end - first < BATCH_NOTICES_MAX) {
      bytes += noticeWireBytes(this.#notices[end]!.change);
      if (bytes > BATCH_BYTES_MAX && end > first) break;
      end += 1;
    }
    const notices = this.#notices.slice(first, end);
    const { epoch } = this.#position;
    const batch: Batch = {
      kind: "batch",
      from: { epoch, sequence: from.sequence },
      to: { epoch, sequence: from.sequence + notices.length },
      notices,
    };
    if (this.#batches.size >= BATCHES_SHARED_MAX) this.#batches.clear();
    this.#batches.set(from.sequence, batch);
    return batch;
  }

  /** Whether a position is one that this log has had in this epoch. */
  #covers(position: Position): boolean {
    return position.epoch === this.#position.epoch && position.sequence <= this.#position.sequence;
  }

  #raiseFence(change: Change, sequence: number): void {
    for (const eventId of eventIdsOf(change)) this.#eventFence.set(eventId, sequence);
    if (change.kind === "roomPurged") this.#roomFence.set(change.roomId, sequence);
    if (change.kind === "homeserverPurged") this.#homeserverFence = sequence;
  }

  #trim(): void {
    while (this.#bytes > this.#bytesMax || this.#eventIds > this.#eventIdsMax) {
      this.#forget(this.#notices[this.#head]!);
      this.#notices[this.#head] = FORGOTTEN;
      this.#head += 1;
    }
    // Move what is left only when half is dead, so that a change costs constant time.
    if (this.#head > 32 && this.#head * 2 > this.#notices.length) {
      this.#notices = this.#notices.slice(this.#head);
      this.#head = 0;
    }
  }

  #forget({ sequence, change }: Notice): void {
    this.#trimmedThrough = sequence;
    this.#bytes -= changeBytes(change);
    this.#eventIds -= eventIdsOf(change).length;
    for (const eventId of eventIdsOf(change)) {
      // A newer change of the same event keeps its fence.
      if (this.#eventFence.get(eventId) === sequence) this.#eventFence.delete(eventId);
    }
    if (change.kind === "roomPurged" && this.#roomFence.get(change.roomId) === sequence) {
      this.#roomFence.delete(change.roomId);
    }
  }
}

/** Stands where a change was that is no longer held, so that its memory is free at once. */
const FORGOTTEN: Notice = { sequence: 0, change: { kind: "homeserverPurged" } };

/**
 * Batches that are kept to be shared. Who keeps up shares one; every other place
 * in the log would make one more, and each may be as large as a batch can be.
 */
const BATCHES_SHARED_MAX = 4;

function eventIdsOf(change: Change): readonly EventId[] {
  switch (change.kind) {
    case "redacted":
    case "rejected":
      return [change.eventId];
    case "invalidated":
      return change.eventIds;
    case "roomPurged":
    case "homeserverPurged":
      return [];
  }
}

const NOTICE_HEAP_BYTES = 160;

/** What a change costs in memory, with its places in the fence. */
function changeBytes(change: Change): number {
  let bytes = NOTICE_HEAP_BYTES;
  for (const eventId of eventIdsOf(change)) bytes += MAP_SLOT_BYTES + 8 + stringBytes(eventId);
  if (change.kind === "homeserverPurged") return bytes;
  if (change.roomId !== undefined) bytes += stringBytes(change.roomId);
  if (change.kind === "roomPurged") bytes += MAP_SLOT_BYTES;
  if (change.kind === "redacted") bytes += stringBytes(change.redactedBy);
  return bytes;
}

/** An upper bound of what a notice takes in a batch: tags, lengths and numbers take less than the constants. */
function noticeWireBytes(change: Change): number {
  let bytes = 40;
  for (const eventId of eventIdsOf(change)) bytes += 4 + Buffer.byteLength(eventId);
  if (change.kind === "homeserverPurged") return bytes;
  if (change.roomId !== undefined) bytes += Buffer.byteLength(change.roomId);
  if (change.kind === "redacted") bytes += Buffer.byteLength(change.redactedBy);
  return bytes;
}
