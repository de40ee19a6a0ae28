import type {
  EventId,
  Homeserver,
  LeaseToken,
  NewEvent,
  Position,
  PutOutcome,
  ReadResult,
  Redaction,
  RedactionView,
  RoomId,
  SetOutcome,
  SubscriptionFrame,
  Writer,
} from "./types.js";

/**
 * The one interface to a store. Its operations are those of the domain, not of a
 * key-value store, because each must be atomic as a whole: a store must never
 * show the state between two of its steps.
 *
 * Inputs are valid (the edge saw to that). Every operation is asynchronous in
 * its signature, so that a store may live elsewhere; it may reject with a
 * CacheError of kind `exhausted`, `unavailable` or `internal`.
 *
 * To add a store: implement this in src/store/, pass test/contract/store-contract.ts,
 * choose it in src/server.ts.
 */
export interface EventStore {
  /** Whether a read has to wait for somebody outside this process, so that others should not wait for it. */
  readonly isRemote: boolean;
  getEvents(request: ReadRequest): Promise<ReadResult>;
  putEvents(request: PutRequest): Promise<PutResult>;
  setRedaction(request: SetRedactionRequest): Promise<SetResult>;
  setRejected(request: SetRejectedRequest): Promise<SetResult>;
  invalidateEvents(
    homeserver: Homeserver,
    roomId: RoomId | undefined,
    eventIds: readonly EventId[],
  ): Promise<Position>;
  purgeRoom(homeserver: Homeserver, roomId: RoomId): Promise<Position>;
  purgeHomeserver(homeserver: Homeserver): Promise<Position>;

  declareWriters(homeserver: Homeserver, writers: readonly Writer[]): Promise<LeaseStatus>;
  renewWriterLease(homeserver: Homeserver, writer: Writer, token: LeaseToken): Promise<LeaseGrant>;
  releaseWriterLease(homeserver: Homeserver, writer: Writer, token: LeaseToken): Promise<Position>;

  /**
   * Follows a homeserver's log, from `resumeAfter` or from now. Frames are made
   * when they are asked for, so a consumer that does not ask costs nothing but
   * its place. The first frame is `ready` or `reset`. Ends when the signal
   * aborts, rejects with `exhausted` when there are too many subscribers.
   */
  subscribe(request: SubscribeRequest): AsyncIterable<SubscriptionFrame>;

  /** What the store holds and has done, for metrics; cheap. */
  stats(): StoreStats;
  /** Ends background work. Subscriptions end by their signals. */
  close(): Promise<void>;
}

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
  readonly position: Position;
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

export interface LeaseStatus {
  readonly position: Position;
  readonly leaseDurationMs: number;
  readonly suspended: boolean;
}

export interface LeaseGrant extends LeaseStatus {
  readonly token: LeaseToken;
}

export interface SubscribeRequest {
  readonly homeserver: Homeserver;
  readonly resumeAfter: Position | undefined;
  readonly signal: AbortSignal;
}

/**
 * Why a lookup missed. `unredactable`: redacted, and no redacted body could be made;
 * `doubt`: the store outside this process did not answer, or may be out of date.
 */
export type MissReason =
  | "absent"
  | "orphaned"
  | "expired"
  | "suspended"
  | "behind"
  | "unredactable"
  | "doubt";

export type ChangeKind = "redacted" | "rejected" | "invalidated" | "roomPurged" | "homeserverPurged";

/** Counters of one homeserver; they start at zero when the homeserver is first seen. */
export interface HomeserverStats {
  readonly hits: number;
  readonly misses: Readonly<Record<MissReason, number>>;
  readonly puts: Readonly<Record<PutOutcome, number>>;
  readonly sets: Readonly<Record<SetOutcome, number>>;
  readonly changes: Readonly<Record<ChangeKind, number>>;
  readonly resets: Readonly<Record<"wrongEpoch" | "tooOld" | "suspended", number>>;
  readonly epochs: number;
  readonly subscribers: number;
  readonly writers: number;
  readonly suspended: boolean;
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

/** Of a store that lies outside this process. */
export interface RemoteStats {
  /** Whether it answers, and is known to be up to date; while not, reads miss and writes fail. */
  readonly isWell: boolean;
  /** Calls that failed, by why. */
  readonly troubles: Readonly<Record<string, number>>;
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
  /** Absent: the store is in this process. */
  readonly remote?: RemoteStats;
}
