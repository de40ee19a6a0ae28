/**
 * The rules of the log with members (DESIGN M1 to M10); all hold by default, a
 * test switches one off. M7 is in the subscription model (`positionFirst`).
 */
export interface LogRules {
  /** M1: a sidecar drops its cache before it sends a join. */
  readonly joinDropsCache: boolean;
  /** M1: it also gives up its lease, so that it takes no put until the reply. */
  readonly joinEndsLease: boolean;
  /** M1: each join uses a new member ID; otherwise a sidecar always has the same. */
  readonly freshId: boolean;
  /** M1, M10: enrolling locks the head; otherwise an append may commit between its read and its commit. */
  readonly enrolLocksHead: boolean;
  /** M2: without a live lease every read misses. */
  readonly readsNeedLease: boolean;
  /** M2: a lease runs from before its renewal was sent; otherwise from its reply. */
  readonly leaseFromSend: boolean;
  /** M2: the lease is judged by the clock at each read; otherwise a timer clears a flag. */
  readonly judgedAtRead: boolean;
  /** M2: the clock counts the time in which the machine was suspended. */
  readonly clockCountsSuspend: boolean;
  /** M2: a member whose renewal finds no row drops its cache. */
  readonly expelledDrops: boolean;
  /** M3: an answer waits for the members. */
  readonly waitsForMembers: boolean;
  /** M3: it waits for the answering sidecar too. */
  readonly waitsForItself: boolean;
  /** M3: W covers the drift of two clocks; otherwise W = L. */
  readonly waitCoversDrift: boolean;
  /** M3: W runs from the receipt of the poll that first showed the counter; otherwise from its sending. */
  readonly waitFromReceipt: boolean;
  /** M3: a member is expelled only if its counter still stands. */
  readonly expelNamesCounter: boolean;
  /** M3: W starts again on a new connection to the database (a crash may take back a renewal). */
  readonly waitRestarts: boolean;
  /** M3: a call joins a batch only before its transaction. */
  readonly batchBeforeAppend: boolean;
  /** M4: a member applies a change, then reports it. */
  readonly appliesThenReports: boolean;
  /** M4: a report counts only for the epoch that it names. */
  readonly reportNamesEpoch: boolean;
  /** M4: a value is written through only if no change after its `as_of` names the event. */
  readonly throughIsFenced: boolean;
  /** M4: … and only if the local copy of the log reaches back to its `as_of`. */
  readonly throughReaches: boolean;
  /** M4: it is written in the step that applies the change, never later. */
  readonly throughInStep: boolean;
  /** M4: it goes to the tier with the position of its change; otherwise with a later one. */
  readonly tierGetsChange: boolean;
  /** M4: a repeated Set… carries its first `as_of`. */
  readonly retryKeepsAsOf: boolean;
  /** M5: a put is refused if a change after its `as_of` names the event. */
  readonly fence: boolean;
  /** M5: … if the local copy of the log does not reach back to its `as_of`. */
  readonly fenceReaches: boolean;
  /** M5: … if its epoch is not the log's. */
  readonly fenceEpoch: boolean;
  /** M6: an entry of the tier is judged like a put. */
  readonly tierIsFenced: boolean;
  /** M6: a write-back carries the position of its lookup; otherwise of its sending. */
  readonly writeBackWithLookup: boolean;
  /** M8: a member that meets a gap drops everything; otherwise it applies what is left. */
  readonly gapDrops: boolean;
  /** M9: transactions compare the incarnation. */
  readonly incarnationCompared: boolean;
  /** M9: the incarnation has the server's start time; otherwise a restored disk keeps it. */
  readonly startTimeCounts: boolean;
  /** M9: a new incarnation begins a new epoch. */
  readonly newEpochs: boolean;
  /** M9: no answer until the leases of the old incarnation are over. */
  readonly waitsForOldLeases: boolean;
  /** M10: expelling deletes the member; otherwise only its row of this homeserver. */
  readonly expelDeletesMember: boolean;
  /** M10: enrolling needs the member's row. */
  readonly enrolNeedsMember: boolean;
  /** M10, an addition: a sidecar that gives up waiting for an enrolment joins anew. */
  readonly enrolOnce: boolean;
  /** M10: a sidecar that leaves drops its cache before it deletes its row. */
  readonly leaveDropsFirst: boolean;
}

export const LOG_RULES: LogRules = {
  joinDropsCache: true,
  joinEndsLease: true,
  freshId: true,
  enrolLocksHead: true,
  readsNeedLease: true,
  leaseFromSend: true,
  judgedAtRead: true,
  clockCountsSuspend: true,
  expelledDrops: true,
  waitsForMembers: true,
  waitsForItself: true,
  waitCoversDrift: true,
  waitFromReceipt: true,
  expelNamesCounter: true,
  waitRestarts: true,
  batchBeforeAppend: true,
  appliesThenReports: true,
  reportNamesEpoch: true,
  throughIsFenced: true,
  throughReaches: true,
  throughInStep: true,
  tierGetsChange: true,
  retryKeepsAsOf: true,
  fence: true,
  fenceReaches: true,
  fenceEpoch: true,
  tierIsFenced: true,
  writeBackWithLookup: true,
  gapDrops: true,
  incarnationCompared: true,
  startTimeCounts: true,
  newEpochs: true,
  waitsForOldLeases: true,
  expelDeletesMember: true,
  enrolNeedsMember: true,
  enrolOnce: true,
  leaveDropsFirst: true,
};

/**
 * How a change is announced: `set` carries a value and an `as_of`, `other` names
 * another event, `newEpoch` is PurgeHomeserver with a new epoch.
 */
export type LogChange = "set" | "invalidate" | "other" | "newEpoch";

export type SidecarRole = "member" | "answers" | "both";

export interface LogScope {
  /** A `member` caches, `answers` takes the calls of writers, `both` does both; equal ones stand together. */
  readonly sidecars: readonly SidecarRole[];
  /** The change that each writer makes, once. */
  readonly writers: readonly LogChange[];
  /** How often a writer whose call is not answered yet may call again. */
  readonly retries: number;
  /** How many changes the log holds. */
  readonly ring: number;
  /** Time passes; otherwise leases last for ever and nobody renews. */
  readonly time: boolean;
  /** Ticks of a lease, L; the clock of a sidecar loses at most `drift` ticks in a lease. */
  readonly lease: number;
  readonly drift: 0 | 1;
  readonly tier: boolean;
  /** How often the database is promoted, restored, or restarted after a crash. */
  readonly promotions: number;
  readonly restores: number;
  readonly crashes: number;
  /** At the start the members have applied a change that the standby has not. */
  readonly behind: boolean;
  /** How often sidecars die, leave, and join again while they are members. */
  readonly deaths: number;
  readonly leaves: number;
  readonly rejoins: number;
  /** How many abandoned requests may still arrive. */
  readonly ghosts: number;
}

export interface Logs {
  readonly scope: LogScope;
  readonly rules: LogRules;
}

/** Ticks of W: what a lease may take, on another's clock. */
export function waitTicks({ scope, rules }: Logs): number {
  return scope.lease + (rules.waitCoversDrift ? scope.drift : 0);
}
