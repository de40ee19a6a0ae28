import type { RestartReason } from "../core/model/store-observer.js";
import type { Change, Homeserver, Position } from "../core/model/types.js";

/**
 * The invalidation logs of all homeservers: the only place of order and
 * agreement. A log appends a change and confirms it when no other sidecar can
 * still serve what was before, and it follows the changes of others.
 *
 * To add a log: implement this in a folder of its own, pass the contract suite
 * (test/contract), choose it in the composition root.
 */
export interface Log {
  /**
   * Begins to follow a homeserver's log with a copy that is empty. Never waits
   * and never throws: see `HomeserverLog.ready`.
   */
  follow(copy: LogCopy): HomeserverLog;
  /** What health and metrics see; cheap. */
  status(): LogStatus;
  /** The sidecars that follow the log, read when asked, for the administrator; empty in memory. Rejects if the log cannot be read. */
  members(): Promise<readonly LogMember[]>;
  /** Stops following; pending appends reject as `unavailable`. */
  close(): Promise<void>;
}

/** One homeserver's log, as one sidecar follows it. */
export interface HomeserverLog {
  /**
   * Whether the copy is known to be current at this moment. Called in the same
   * synchronous step as each lookup, so it must be cheap; it reads the clock
   * itself and is never a flag that a timer sets. While it is false, nothing may
   * be served, no position be given and no Progress be sent.
   */
  isCurrent(): boolean;
  /**
   * Resolves when the copy is current, or when it is clear that it will not be
   * within a short time limit. Undefined when there is nothing to wait for: the
   * copy is current, the log has been unreachable for longer than that limit, or a
   * wait was in vain since the copy was current last.
   */
  ready(): Promise<void> | undefined;
  /**
   * Appends a change and resolves with its position when every sidecar that
   * could serve what was before has applied it or is known to serve nothing.
   *
   * `apply` replaces `LogCopy.apply` for this change, in the very step in which
   * this sidecar applies it, if that happens before the promise settles; a change
   * that is applied later, or again, goes to `LogCopy.apply`.
   *
   * Rejects with a CacheError of kind `unavailable` when the outcome is unknown
   * or negative; the caller's retry appends again.
   */
  append(change: Change, apply: () => void): Promise<Position>;
  /** Starts a new epoch with the same confirmation as `append`; every copy restarts. */
  startEpoch(): Promise<Position>;
  /**
   * Waits briefly until the copy has applied `position`, if it is of the copy's
   * epoch and ahead of it. Undefined if it is not, or if no log could bring it.
   */
  catchUp(position: Position): Promise<void> | undefined;
  /** Stops following. The copy is empty already and is never called again. */
  leave(): void;
}

/**
 * A sidecar's copy of one homeserver's log, with the caches that obey it. The
 * log calls it; each call is one synchronous step.
 */
export interface LogCopy {
  readonly homeserver: Homeserver;
  /** The position after the newest change that was applied. */
  readonly position: Position;
  /** Drops everything and starts after `position`. The changes that follow are applied one by one. */
  restart(position: Position, reason: RestartReason): void;
  /**
   * Drops all entries and keeps its place: others did not wait for this sidecar for a while.
   * The changes that it missed are applied one by one, so what it knows of earlier ones stays true.
   */
  dropEntries(reason: RestartReason): void;
  /** Applies the next change: drops what it outdates, fences, and notifies subscribers. Never stores a value. */
  apply(change: Change): void;
  /** A change that this version does not know stands here: drops everything and notifies as if the homeserver was purged. */
  applyUnknown(): void;
  /** The copy became current: subscribers that waited for that may go on. */
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

/** A sidecar that follows the log. */
export interface LogMember {
  /** Random, new at each join. */
  readonly id: string;
  readonly isSelf: boolean;
  /** For each homeserver that it follows: what it has reported, and how far that is behind. */
  readonly homeservers: ReadonlyMap<Homeserver, { readonly applied: Position; readonly lag: number }>;
}
