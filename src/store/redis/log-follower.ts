import type { Counters } from "../../core/counters.js";
import { InvalidationLog } from "../../core/invalidation-log.js";
import { LOG_EVENT_IDS_MAX } from "../../core/limits.js";
import { SubscriberHub } from "../../core/subscription.js";
import type {
  Change,
  Epoch,
  EventId,
  Position,
  ResetReason,
  RoomId,
  SubscriptionFrame,
} from "../../core/types.js";
import type { OnMessage } from "./link.js";
import type { Provenance, ReplicationId } from "./proofs.js";
import { LOG_LOOK_BACK, LOG_PAGE_IDS } from "./redis-limits.js";
import type { RemoteState } from "./reply.js";

/** Changes after a position with about so many event IDs, from a server that may be believed; undefined: none may. */
export type ReadLog = (after: Position, enoughIds: number) => Promise<LogPage | undefined>;

/** Where a homeserver's changes are published. */
export interface Channel {
  follow(onMessage: OnMessage): void;
  unfollow(): void;
}

export interface LogPage {
  readonly state: RemoteState;
  /** Entries of the stream: ID, then names and values. */
  readonly entries: readonly (readonly [id: Buffer, fields: readonly Buffer[]])[];
}

/**
 * A copy of the end of a homeserver's log, for the subscribers of this process, as long
 * as there are any. It begins a little before the place where the first of them begins,
 * and holds a change only after all before it in its epoch; a part that is lost or trimmed
 * shows as a gap in the sequence numbers, and subscribers behind it are reset.
 */
export class LogFollower {
  readonly hub: SubscriberHub;
  readonly #channel: Channel;
  /** Subscribers that wait for what they are told first. */
  #opening = 0;
  /** Where the first of those begins who came before anything was read; undefined: at the end. */
  #begin: Position | undefined;
  readonly #log: InvalidationLog;
  readonly #readLog: ReadLog;
  readonly #isBelieved: (provenance: Provenance) => boolean;
  readonly #clock: () => number;
  #caughtUpAtMs = Number.NEGATIVE_INFINITY;
  #epochReason: ResetReason = "wrongEpoch";
  #wasSuspended = false;
  #running: Promise<boolean> | undefined;
  #next: Promise<boolean> | undefined;

  constructor(options: {
    readonly channel: Channel;
    readonly readLog: ReadLog;
    /** Whether what this server says may be believed now. */
    readonly isBelieved: (provenance: Provenance) => boolean;
    readonly counters: Counters;
    readonly clock: () => number;
    /** How long what was read counts as all there is. */
    readonly freshForMs: number;
    readonly logBytesMax: number;
    readonly defer: (run: () => void) => void;
    readonly onClose: () => void;
  }) {
    this.#channel = options.channel;
    this.#readLog = options.readLog;
    this.#isBelieved = options.isBelieved;
    this.#clock = options.clock;
    this.#log = new InvalidationLog(NO_EPOCH, {
      bytesMax: options.logBytesMax,
      eventIdsMax: LOG_EVENT_IDS_MAX,
    });
    this.hub = new SubscriberHub({
      log: this.#log,
      counters: options.counters,
      defer: options.defer,
      // What is said must be no older than what a read would be answered from.
      settle: () => options.clock() - this.#caughtUpAtMs < options.freshForMs,
      epochReason: () => this.#epochReason,
      onClose: () => {
        options.onClose();
        this.#endIfUnused();
      },
    });
  }

  /** Subscribers, with those that are not told anything yet. */
  get count(): number {
    return this.hub.count + this.#opening;
  }

  /** Frames from a position on, or from now; undefined: what was announced cannot be had now. */
  async subscribe(
    resumeAfter: Position | undefined,
    signal: AbortSignal,
  ): Promise<AsyncGenerator<SubscriptionFrame, void> | undefined> {
    if (this.count === 0) this.#channel.follow(this.#onMessage);
    if (this.#log.position.epoch === NO_EPOCH)
      this.#begin = this.count === 0 ? resumeAfter : older(this.#begin, resumeAfter);
    this.#opening += 1;
    try {
      // The place that it resumes from may be newer than what has been read here.
      return (await this.catchUp()) ? this.hub.open(resumeAfter, signal) : undefined;
    } finally {
      this.#opening -= 1;
      this.#endIfUnused();
    }
  }

  #endIfUnused(): void {
    if (this.count > 0) return;
    this.#channel.unfollow();
    this.#log.restart(NO_EPOCH);
  }

  readonly #onMessage: OnMessage = (message) => this.hear(message);

  setBytesMax(bytesMax: number): void {
    this.#log.setBytesMax(bytesMax);
  }

  get size() {
    return this.#log.size;
  }

  /**
   * Takes a message that a script published. Nearly always it bears the next change;
   * where it does not, or may not be believed as it is, the log is read.
   */
  hear(message: string): void {
    const announced = readAnnouncement(message);
    const { epoch, sequence } = this.#log.position;
    if (announced?.position.epoch === epoch && this.#isBelieved(announced.provenance)) {
      if (announced.position.sequence <= sequence) return;
      if (announced.position.sequence === sequence + 1) {
        this.#log.append(announced.change);
        this.hub.wake();
        return;
      }
    }
    void this.catchUp();
  }

  /** Reads all that was announced before this call; false if that cannot be had now. */
  catchUp(): Promise<boolean> {
    // A reading under way may have passed the end already: the next one has not.
    if (this.#running !== undefined) {
      this.#next ??= this.#running.then(() => this.#start());
      return this.#next;
    }
    return this.#start();
  }

  #start(): Promise<boolean> {
    this.#next = undefined;
    this.#running = this.#readToEnd().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #readToEnd(): Promise<boolean> {
    for (;;) {
      const startedAtMs = this.#clock();
      const page = await this.#readLog(this.#log.position, LOG_PAGE_IDS);
      if (page === undefined || this.count === 0) return false;
      this.#apply(page);
      const { state } = page;
      if (this.#log.position.sequence >= state.position.sequence) {
        this.#caughtUpAtMs = startedAtMs;
        this.hub.wake();
        return true;
      }
      this.hub.wake();
    }
  }

  #apply({ state, entries }: LogPage): void {
    const { position, trimmedThrough, suspended } = state;
    if (position.epoch !== this.#log.position.epoch) {
      this.#epochReason = suspended || this.#wasSuspended ? "suspended" : "wrongEpoch";
      const { sequence } = this.#begin?.epoch === position.epoch ? this.#begin : position;
      const begin = Math.min(sequence, position.sequence) - LOG_LOOK_BACK;
      this.#log.restart(position.epoch, Math.max(begin, trimmedThrough));
    } else if (this.#log.position.sequence < trimmedThrough) {
      this.#log.restart(position.epoch, trimmedThrough);
    } else {
      for (const [id, fields] of entries) {
        const sequence = Number.parseInt(id.toString("latin1"), 10);
        // A message may have brought it meanwhile.
        if (sequence <= this.#log.position.sequence) continue;
        const change = readChange(fields.map(String));
        if (sequence !== this.#log.position.sequence + 1 || change === undefined) {
          this.#lose(position);
          break;
        }
        this.#log.append(change);
      }
      if (entries.length === 0 && this.#log.position.sequence < position.sequence) this.#lose(position);
    }
    this.#wasSuspended = suspended;
  }

  /** Some of the log is gone: whoever has not read it starts afresh. */
  #lose(position: Position): void {
    this.#log.restart(position.epoch, position.sequence);
  }
}

function older(one: Position | undefined, other: Position | undefined): Position | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return one.epoch === other.epoch && other.sequence < one.sequence ? other : one;
}

const NO_EPOCH = "" as Position["epoch"];

/** Reads the message that `append` in lua/prelude.ts makes; undefined: it only says that there is something to read. */
function readAnnouncement(message: string): Announcement | undefined {
  if (message === "") return undefined;
  try {
    const [epoch, sequence, replicationId, replicas, words] = JSON.parse(message) as [
      epoch: Epoch,
      sequence: string,
      replicationId: ReplicationId,
      replicas: number,
      words: readonly string[],
    ];
    const change = readChange(words);
    return (
      change && {
        position: { epoch, sequence: Number(sequence) },
        provenance: { replicationId, replicas },
        change,
      }
    );
  } catch {
    // Not ours; the log says what is true.
    return undefined;
  }
}

interface Announcement {
  /** The change's own. */
  readonly position: Position;
  readonly provenance: Provenance;
  readonly change: Change;
}

/**
 * Reads what `append` in lua/prelude.ts writes: fields of a stream, of which each second word is a value: kind, room,
 * one word more, event IDs. Undefined: it is no change that is known here.
 */
function readChange(words: readonly string[]): Change | undefined {
  const [kind, room, extra, ...eventIds] = words.filter((_, at) => at % 2 === 1) as [
    kind: string,
    room: string,
    extra: string,
    ...eventIds: EventId[],
  ];
  const [eventId] = eventIds;
  const roomId = (room || undefined) as RoomId | undefined;
  switch (kind) {
    case "redacted":
      return eventId === undefined ? undefined : { kind, roomId, eventId, redactedBy: extra as EventId };
    case "rejected":
      return eventId === undefined ? undefined : { kind, roomId, eventId, rejected: extra === "1" };
    case "invalidated":
      return { kind, roomId, eventIds };
    case "roomPurged":
      return roomId === undefined ? undefined : { kind, roomId };
    case "homeserverPurged":
      return { kind };
    default:
      return undefined;
  }
}
