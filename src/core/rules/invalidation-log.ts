import { MAP_SLOT_BYTES, stringBytes } from "../memory/heap-cost.js";
import { BATCH_BYTES_MAX, BATCH_NOTICES_MAX } from "../model/limits.js";
import type { Batch, Change, EventId, Notice, Position, ResetReason, RoomId } from "../model/types.js";

/** The fence's verdict on a write. Only `stored` admits it. */
export type FenceVerdict = "stored" | "fenced" | "tooOld" | "wrongEpoch";

/**
 * The copy of the end of one homeserver's invalidation log: its newest changes,
 * with consecutive sequence numbers. It fences writes and provides the batches of
 * subscribers. It keeps no state of subscribers.
 */
export class InvalidationLog {
  #position: Position;
  #bytesMax: number;
  readonly #eventIdsMax: number;

  /** The held changes. `#notices[#head]` is the oldest one; the elements before it are released. */
  #notices: Notice[] = [];
  #head = 0;
  #bytes = 0;
  #eventIds = 0;
  /** The sequence number of the newest change that is no longer held. */
  #trimmedThrough = 0;

  /** The fence: the newest held change of each event, of each room, and of the homeserver. */
  #eventFence = new Map<EventId, number>();
  #roomFence = new Map<RoomId, number>();
  #homeserverFence = 0;

  /** The newest batches since the last change, by their first position, so that subscribers share them. */
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
   * Empties the copy and continues after a position. A fill or a subscriber from
   * before it is refused as too old or of a wrong epoch. The position is not 0 if
   * the beginning of the log was trimmed.
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

  /** Sets how many bytes the log may hold, and drops the oldest changes beyond that. */
  setBytesMax(bytesMax: number): void {
    this.#bytesMax = bytesMax;
    this.#trim();
  }

  /**
   * Judges a write of an event by the position that its writer had before it read
   * its database. The write passes only if the log shows that no later change
   * outdates the event.
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

  /** Whether a subscriber can continue after `position`, or the reason why it cannot. */
  resume(position: Position): ResetReason | undefined {
    if (!this.#covers(position)) return "wrongEpoch";
    return position.sequence < this.#trimmedThrough ? "tooOld" : undefined;
  }

  /**
   * The changes after a position that `resume` accepts, as many as fit into a
   * batch; undefined if there are none. Between two changes all callers with the
   * same position get the same object.
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

  /** Whether this log had the position in this epoch. */
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
    // The rest is moved only when half is released, so that a change takes constant time on average.
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

/** Replaces a change that is no longer held, so that its memory is freed at once. */
const FORGOTTEN: Notice = { sequence: 0, change: { kind: "homeserverPurged" } };

/**
 * How many batches are kept for sharing. All subscribers that keep up share one.
 * Each other position in the log needs one more, of up to the size of a batch.
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

/** The memory that a change takes, including its entries in the fence. */
function changeBytes(change: Change): number {
  let bytes = NOTICE_HEAP_BYTES;
  for (const eventId of eventIdsOf(change)) bytes += MAP_SLOT_BYTES + 8 + stringBytes(eventId);
  if (change.kind === "homeserverPurged") return bytes;
  if (change.roomId !== undefined) bytes += stringBytes(change.roomId);
  if (change.kind === "roomPurged") bytes += MAP_SLOT_BYTES;
  if (change.kind === "redacted") bytes += stringBytes(change.redactedBy);
  return bytes;
}

/** An upper bound of a notice's bytes in a batch: tags, lengths and numbers take less than the constants. */
function noticeWireBytes(change: Change): number {
  let bytes = 40;
  for (const eventId of eventIdsOf(change)) bytes += 4 + Buffer.byteLength(eventId);
  if (change.kind === "homeserverPurged") return bytes;
  if (change.roomId !== undefined) bytes += Buffer.byteLength(change.roomId);
  if (change.kind === "redacted") bytes += Buffer.byteLength(change.redactedBy);
  return bytes;
}
