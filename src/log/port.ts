import type { RestartReason } from "../core/model/store.js";
import type { Change, Homeserver, Position } from "../core/model/types.js";

/**
 * The invalidation logs of all homeservers: the only place where sidecars agree
 * on an order. A log appends a change, confirms it when no sidecar can serve the
 * earlier state any more, and follows the changes of other sidecars.
 *
 * To add a log: implement this in a folder of its own, pass the contract suite
 * (test/contract), and select it in the composition root.
 */
export interface Log {
  /**
   * Starts to follow a homeserver's log with an empty copy. Never waits and never
   * throws: see `HomeserverLog.ready`.
   */
  follow(copy: LogCopy): HomeserverLog;
  /** The state for health and metrics. Cheap. */
  status(): LogStatus;
  /** The sidecars that follow the log, for administrators. */
  readonly members: LogMembers;
  /** Stops following; pending appends reject as `unavailable`. */
  close(): Promise<void>;
}

/** One homeserver's log, as one sidecar follows it. */
export interface HomeserverLog {
  /**
   * Whether the copy is verified as current at this moment. Called in the same
   * synchronous step as each lookup, so it must be cheap. It reads the clock itself:
   * a flag set by a timer would be late. While it is false, no event may be served,
   * no position returned and no Progress sent.
   */
  isCurrent(): boolean;
  /**
   * Resolves when the copy is current, or after a short time limit. Undefined if
   * waiting is pointless: the copy is current, the log has been unreachable for
   * longer than that limit, or an earlier wait since the copy was last current
   * reached the limit.
   */
  ready(): Promise<void> | undefined;
  /**
   * Appends a change. Resolves with its position when every sidecar that could
   * serve the earlier state has applied the change or is known to serve nothing.
   *
   * `apply` replaces `LogCopy.apply` for this change, if this sidecar applies it
   * before the promise settles. If the change is applied later, or again,
   * `LogCopy.apply` is called.
   *
   * Rejects with a CacheError of kind `unavailable` when the outcome is unknown
   * or negative; the caller's retry appends again.
   */
  append(change: Change, apply: () => void): Promise<Position>;
  /** Starts a new epoch with the same confirmation as `append`; every copy restarts. */
  startEpoch(): Promise<Position>;
  /**
   * Waits briefly until the copy has applied `position`, if the position is in the
   * copy's epoch and ahead of it. Undefined if it is not, or cannot be reached.
   */
  catchUp(position: Position): Promise<void> | undefined;
  /** Stops following. The copy is empty by then and is never called again. */
  leave(): void;
}

/**
 * A sidecar's copy of one homeserver's log, with the caches that depend on it. The
 * log calls it; each call is one synchronous step.
 */
export interface LogCopy {
  readonly homeserver: Homeserver;
  /** The position after the newest change that was applied. */
  readonly position: Position;
  /** Drops everything and starts after `position`. The changes that follow are applied one by one. */
  restart(position: Position, reason: RestartReason): void;
  /**
   * Drops all entries and keeps the position, after a time in which others did not wait for this
   * sidecar. The missed changes are applied one by one, so the fence stays valid.
   */
  dropEntries(reason: RestartReason): void;
  /** Applies the next change: drops outdated entries, extends the fence and notifies subscribers. Never stores a value. */
  apply(change: Change): void;
  /** Applies a change of an unknown kind: drops everything and notifies as if the homeserver was purged. */
  applyUnknown(): void;
  /** The copy became current: waiting subscribers may continue. */
  becameCurrent(): void;
}

export interface LogStatus {
  /** Whether the log answers and this sidecar holds a live lease on it. Always true in memory. */
  readonly isUp: boolean;
  /** Failed operations, by cause; the causes are a fixed, small set. */
  readonly errors: Readonly<Record<string, number>>;
  /** How many sidecars follow the log, as counted now and then; 0 in memory. */
  readonly memberCount: number;
}

/**
 * The sidecars that follow the log, read when asked, a page at a time; there are none in
 * memory. Rejects with a CacheError of kind `unavailable` if the log does not answer.
 */
export interface LogMembers {
  /** Members in ascending order of their IDs. Observes them for as long as a lease lasts at most. */
  list(page: MembersPage): Promise<readonly LogMember[]>;
  /** What members have applied, in ascending order of homeservers, then members. */
  positions(page: PositionsPage): Promise<readonly MemberPosition[]>;
}

export interface MembersPage {
  /** The last member of the page before; empty: from the first one. */
  readonly afterId: string;
  readonly limit: number;
}

export interface PositionsPage {
  /** The last position of the page before; undefined: from the first one. */
  readonly after: { readonly homeserver: string; readonly memberId: string } | undefined;
  readonly limit: number;
  /** Only this homeserver. */
  readonly homeserver: string | undefined;
  /** Only this member. */
  readonly memberId: string | undefined;
}

/** A sidecar that follows the log. */
export interface LogMember {
  /** Random, new at each join. */
  readonly id: string;
  readonly isSelf: boolean;
  /** Whether its lease is live: the member renewed it while it was observed. */
  readonly isLive: boolean;
  /** Milliseconds since 1970, by the log's clock; undefined if the log does not keep it. */
  readonly joinedAtMs: number | undefined;
  /** The number of homeservers that it follows. */
  readonly homeservers: number;
  /** The largest lag of its homeservers, in changes. */
  readonly lag: number;
}

/** The position that a member has reported for one homeserver, and its lag in changes. */
export interface MemberPosition {
  readonly homeserver: string;
  readonly memberId: string;
  readonly applied: Position;
  readonly head: Position;
  readonly lag: number;
}
