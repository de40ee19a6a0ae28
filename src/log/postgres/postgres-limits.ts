/**
 * Every time and bound of the PostgreSQL log, with its reason. The first three are one
 * rule: an expelled member holds no lease, because W exceeds L by more than two clocks
 * drift apart.
 */
export interface PostgresLimits {
  /** L: how long a renewal keeps this sidecar's answers valid. Three renewals fit into it, so one lost is harmless. */
  readonly leaseMs: number;
  /** How often the lease is renewed; also how often connections are checked. */
  readonly renewMs: number;
  /** W: how long a member's counter must stand still before the member is expelled. A change waits for a dead member this long, once. */
  readonly expelAfterMs: number;
  /** How often heads are compared although nothing was notified: a notification may be lost in a crash. */
  readonly pollMs: number;
  /** How long `ready` waits: a read is better answered as a miss than late. */
  readonly readyMs: number;
  /** How long `catchUp` waits for a position ahead: the time that one change takes on a busy machine. */
  readonly catchUpMs: number;
  /** A change is confirmed or rejected within this: W, a wait for a new incarnation and a second of work. */
  readonly appendMs: number;
  /** A connection with its authentication and TLS. */
  readonly connectMs: number;
  /** One statement, on the server's clock; renewals of half a lease need an answer sooner than a lease lasts. */
  readonly statementMs: number;
  /**
   * A lock that another session holds. Appends of fifty sidecars queue at one row for some 50 ms
   * at most; all that the connection was asked for later waits behind it.
   */
  readonly lockMs: number;
  /** One statement, on our clock, from when its turn has come: a half-open connection answers nothing. */
  readonly answerMs: number;
  /** The notification that tests a new connection; less than one answer, so that it is named as what is missing. */
  readonly notificationMs: number;
  /** A statement that may touch many rows: a new schema, new epochs, trimming. */
  readonly longAnswerMs: number;
  /**
   * Between two attempts to connect: doubles from the first to the second, with jitter, so that
   * a network that heals is noticed soon; to the third after refusals, which only an operator ends.
   */
  readonly reconnectMs: { readonly min: number; readonly max: number; readonly refusedMax: number };
  /** Between two polls for acknowledgements: short at first, since a change usually takes a few ms, longer while a member is dead. */
  readonly acknowledgePollMs: { readonly min: number; readonly max: number };
  /** How often rows beyond the bounds are removed, and dead members that no change waits for. */
  readonly trimIntervalMs: number;
  /** How often the members are counted. */
  readonly membersIntervalMs: number;
  /** How long a change stays in the table: a sidecar that was away for longer starts with empty caches anyway. */
  readonly retainMs: number;
  /** Event IDs of one homeserver that stay in the table: as many as a sidecar's own copy holds. */
  readonly retainEventIds: number;
}

export const POSTGRES_LIMITS: PostgresLimits = {
  leaseMs: 1500,
  renewMs: 500,
  expelAfterMs: 2000,
  pollMs: 1000,
  readyMs: 1000,
  catchUpMs: 250,
  appendMs: 6000,
  connectMs: 1200,
  statementMs: 1000,
  lockMs: 200,
  answerMs: 1400,
  notificationMs: 700,
  longAnswerMs: 30_000,
  reconnectMs: { min: 50, max: 500, refusedMax: 5000 },
  acknowledgePollMs: { min: 1, max: 25 },
  trimIntervalMs: 60_000,
  membersIntervalMs: 15_000,
  retainMs: 60 * 60 * 1000,
  retainEventIds: 65_536,
};

/** Changes in one transaction: the row lock is held for some milliseconds at most. */
export const BATCH_CHANGES_MAX = 256;
/** Bytes of changes in one transaction; two of the largest change fit. */
export const BATCH_BYTES_MAX = 1024 * 1024;
/** Changes of one homeserver that wait for their transaction or its confirmation; calls in flight are fewer. */
export const PENDING_CHANGES_MAX = 4096;
/** Transactions of one homeserver that wait for confirmation: the next changes gather meanwhile. */
export const BATCHES_UNCONFIRMED_MAX = 4;
/** Homeservers whose changes are read with one statement. */
export const READ_HOMESERVERS_MAX = 16;
/** Changes of one homeserver read with one statement. */
export const READ_CHANGES_MAX = 1000;
/** Bytes of changes read with one statement, shared out among its homeservers. */
export const READ_BYTES_MAX = 1024 * 1024;
/** Changes are applied for this long before other work has its turn. */
export const APPLY_SLICE_MS = 5;
/** Rows that one statement of the trimmer removes: locks and WAL stay small. */
export const TRIM_ROWS_MAX = 5000;
/** Homeservers that one statement of the trimmer looks at. */
export const TRIM_HOMESERVERS_MAX = 100;
/** How long a cause must not have occurred before it is logged again. */
export const EPISODE_MS = 30_000;
/** Polls in a row that found changes without a notification: the connection has lost its LISTEN. */
export const SILENT_POLLS_MAX = 5;
