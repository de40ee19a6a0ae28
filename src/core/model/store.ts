import type { Refusal } from "./quotas.js";
import type {
  Epoch,
  EventId,
  Homeserver,
  NewEvent,
  Position,
  PutOutcome,
  ReadResult,
  Redaction,
  RedactionView,
  ResetReason,
  RoomId,
  SetOutcome,
  SubscriptionFrame,
} from "./types.js";

/**
 * What the transport serves: the split caches, joined with a log and a tier
 * (src/store/event-store.ts). Inputs are valid: the edge validated them. An
 * operation may reject with a CacheError of kind `exhausted`, `unavailable` or
 * `internal`.
 */
export interface EventStore {
  /**
   * Looks up events and lends them to `take`, which is called once, in the step of
   * the lookup. Events can be read until `take` returns; later, reading one throws.
   *
   * Undefined if `take` has been called before this returns; else a promise that
   * resolves after that call: the read had to wait for the log or the tier. What
   * `take` throws is thrown or rejected in the same way as other failures.
   */
  getEvents(request: ReadRequest, take: TakeEvents): Promise<void> | undefined;
  putEvents(request: PutRequest): Promise<PutResult>;
  setRedaction(request: SetRedactionRequest): Promise<SetResult>;
  setRejected(request: SetRejectedRequest): Promise<SetResult>;
  invalidateEvents(
    homeserver: Homeserver,
    roomId: RoomId | undefined,
    eventIds: readonly EventId[],
  ): Promise<Position>;
  purgeRoom(homeserver: Homeserver, roomId: RoomId): Promise<Position>;
  /** `newEpoch`: starts a new epoch instead of appending a change. */
  purgeHomeserver(homeserver: Homeserver, newEpoch: boolean): Promise<Position>;

  /**
   * Follows a homeserver's log, from `resumeAfter` or from now. Frames are made
   * when they are asked for, so a consumer that does not ask costs nothing but
   * its place. The first frame is `ready` or `reset`. Ends when the signal
   * aborts, rejects with `exhausted` when there are too many subscribers.
   */
  subscribe(request: SubscribeRequest): AsyncIterable<SubscriptionFrame>;

  /** Counts a call that a quota refused before it reached the store. Ignores an unknown homeserver. */
  noteRefusal(homeserver: Homeserver, refusal: Refusal): void;

  /** What the store holds and has done, for metrics. */
  stats(): StoreStats;
  /** Ends background work. Subscriptions end by their signals. */
  close(): Promise<void>;
}

/** Takes what a lookup found: reads it, or copies what it keeps, before it returns. */
export type TakeEvents = (result: ReadResult) => void;

export interface ReadRequest {
  readonly homeserver: Homeserver;
  readonly eventIds: readonly EventId[];
  readonly view: RedactionView;
  readonly minPosition: Position | undefined;
}

export interface PutRequest {
  readonly homeserver: Homeserver;
  /** Of an event ID given twice the last one counts, and both get its outcome. */
  readonly events: readonly NewEvent[];
  readonly asOf: Position;
}

export interface PutResult {
  readonly outcomes: readonly PutOutcome[];
  /** Undefined while the store is unverified. */
  readonly position: Position | undefined;
}

export interface SetRedactionRequest {
  readonly homeserver: Homeserver;
  readonly roomId: RoomId | undefined;
  readonly eventId: EventId;
  readonly redaction: Redaction;
  readonly asOf: Position | undefined;
}

export interface SetRejectedRequest {
  readonly homeserver: Homeserver;
  readonly roomId: RoomId | undefined;
  readonly eventId: EventId;
  readonly rejected: boolean;
  readonly rejectedReason: string;
  readonly asOf: Position | undefined;
}

export interface SetResult {
  readonly outcome: SetOutcome;
  readonly position: Position;
}

export interface SubscribeRequest {
  readonly homeserver: Homeserver;
  readonly resumeAfter: Position | undefined;
  readonly signal: AbortSignal;
}

/**
 * Why a lookup missed. `unverified`: the store does not know that it is current;
 * `behind`: it has not reached the read's `min_position`; `unredactable`: the event
 * is redacted, and no redacted body could be made.
 */
export type MissReason = "absent" | "orphaned" | "expired" | "unverified" | "behind" | "unredactable";

export type ChangeKind = "redacted" | "rejected" | "invalidated" | "roomPurged" | "homeserverPurged";

/** Counters of one homeserver; they start at zero when the homeserver is first seen. */
export interface HomeserverStats {
  readonly hits: number;
  readonly misses: Readonly<Record<MissReason, number>>;
  readonly puts: Readonly<Record<PutOutcome, number>>;
  readonly sets: Readonly<Record<SetOutcome, number>>;
  readonly changes: Readonly<Record<ChangeKind, number>>;
  readonly resets: Readonly<Record<ResetReason, number>>;
  /** Calls that a quota of the homeserver refused, by what they had too many of. */
  readonly refusals: Readonly<Record<Refusal, number>>;
  readonly epochs: number;
  /** Where the copy of the log is; undefined while it is not known to be current. */
  readonly position: Position | undefined;
  /** Metadata entries, dead ones included until they are swept. */
  readonly entries: number;
  /** What these and the events that they refer to cost; a shared event counts for each homeserver. */
  readonly bytes: number;
  /** What it uses of both caches; includes entries that were purged and not swept yet. */
  readonly memoryBytes: number;
  /** What is protected of that from other homeservers. */
  readonly memoryShareBytes: number;
  readonly subscribers: number;
  /** Changes that the log holds, event IDs in them, and the bytes they cost. */
  readonly logChanges: number;
  readonly logEventIds: number;
  readonly logBytes: number;
  readonly logBytesMax: number;
}

/**
 * The counts of each homeserver, made one by one as they are asked for: there may be ten thousand.
 * May be iterated over several turns of the event loop.
 */
export interface HomeserverStatsTable extends Iterable<readonly [Homeserver, HomeserverStats]> {
  readonly size: number;
  get(homeserver: Homeserver): HomeserverStats | undefined;
  keys(): Iterable<Homeserver>;
}

/** One of the two caches. */
export interface CacheStats {
  readonly entries: number;
  /** What the entries cost, heap included; never above `bytesMax`. */
  readonly bytes: number;
  readonly bytesMax: number;
  /** Entries dropped to stay inside the bound. */
  readonly evictions: number;
}

export interface StoreStats {
  readonly events: CacheStats;
  readonly metadata: CacheStats;
  readonly logBytes: number;
  readonly logBytesMax: number;
  /** JavaScript heap that the store's entries are counted to use, and its bound. */
  readonly heapBytes: number;
  readonly heapBytesMax: number;
  /** Entries that the background sweep removed. */
  readonly swept: number;
  readonly homeservers: HomeserverStatsTable;
}

/**
 * Why a copy of a homeserver's log is loaded again. `started`: the homeserver is
 * followed for the first time; `asked`: a client asked for a new epoch;
 * `expelled`: the other members removed this sidecar after its lease expired;
 * `gap`: changes were trimmed before this sidecar read them; `database`: the
 * PostgreSQL server that holds the log was started, promoted or restored.
 */
export type RestartReason = "started" | "asked" | "expelled" | "gap" | "database";

/** What a store reports to the operator, as it happens; never events, rooms or users. */
export interface StoreObserver {
  /** A homeserver's copy of the log is loaded again; its cache was emptied. Its subscribers get Reset if the epoch is new. */
  logRestarted(homeserver: Homeserver, epoch: Epoch, reason: RestartReason): void;
  /** An idle homeserver was forgotten. */
  homeserverForgotten(homeserver: Homeserver): void;
  /** A change was applied. Called for each of them, so it must be cheap. */
  changed?(homeserver: Homeserver, kind: ChangeKind): void;
}
