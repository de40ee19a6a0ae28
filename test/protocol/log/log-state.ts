import type { LogScope } from "./log-rules.js";

/** One homeserver's log in PostgreSQL, and the sidecars that follow it. */
export interface LogState {
  /** The event's version in the homeserver's own database. */
  readonly truth: number;
  /** The latest version whose announcement was answered OK. */
  readonly announced: number;
  readonly database: Database;
  /** An earlier state of the database, from which it can be promoted or restored. */
  readonly backup: Database | undefined;
  readonly sidecars: readonly Sidecar[];
  readonly writers: readonly Writer[];
  readonly filler: Filler;
  /** Every entry that was ever put there: a tier may return any of them. */
  readonly tier: readonly Fill[];
  /** Requests that nobody waits for any more; each may still arrive. */
  readonly ghosts: readonly Request[];
  readonly used: Used;
  /** The next member ID and epoch. */
  readonly nextId: number;
  readonly nextEpoch: number;
}

/** What the scope limits, and how often it has happened. */
export interface Used {
  readonly promotions: number;
  readonly restores: number;
  readonly crashes: number;
  readonly deaths: number;
  readonly leaves: number;
  readonly rejoins: number;
  readonly retries: number;
}

export interface Place {
  readonly epoch: number;
  readonly sequence: number;
}

export interface Database {
  /** Of the server, and the incarnation that its tables hold. */
  readonly incarnation: number;
  readonly recorded: number;
  /** Somebody has waited for the leases of the incarnation before. */
  readonly settled: boolean;
  readonly epoch: number;
  /** For each change of the epoch whether it names the event. */
  readonly changes: readonly boolean[];
  /** How many of them are trimmed. */
  readonly trimmed: number;
  readonly members: readonly Member[];
}

export interface Member {
  readonly id: number;
  /** The member's row exists; otherwise only what it has applied. */
  readonly row: boolean;
  readonly applied: Place | undefined;
  /** What a crash of the database would take back: a renewal, and what was reported since. */
  readonly unflushed: { readonly renewed: boolean; readonly applied: Place | undefined } | undefined;
}

export interface Sidecar {
  /** Its member ID, 0 if it is none. */
  readonly id: number;
  /** How many ticks of its own clock its lease has left. */
  readonly lease: number;
  /** A flag that a timer clears some time after the lease is over. */
  readonly flag: boolean;
  /** Its local copy of the log: whether each change in (reach, place] names the event. */
  readonly place: Place | undefined;
  readonly reach: number;
  readonly names: readonly boolean[];
  /** The version in its cache, NONE if there is none. */
  readonly entry: number;
  /** A value of the cache that is to go to the tier, with a position that is taken then. */
  readonly outgoing: number;
  /** A Set… that it received and has appended: its value may be written through. */
  readonly through: Through | undefined;
  readonly request: Request | undefined;
  /** Ticks until its clock may lose another one. */
  readonly steady: number;
  /** The incarnation that it has seen, and for how many ticks. */
  readonly saw: number;
  readonly sawAge: number;
}

export const NONE = -1;

export interface Through {
  readonly at: Place;
  readonly value: number;
  readonly asOf: Place;
}

/** A transaction that a sidecar has under way. */
export interface Request {
  readonly kind: "join" | "enrol" | "renew" | "report" | "leave";
  readonly id: number;
  /** `read`: an enrolment that has read the head without locking it. */
  readonly stage: "sent" | "read" | "done";
  /** Ticks of the sidecar's clock since it was sent. */
  readonly age: number;
  /** The position that it carries or has read. */
  readonly place: Place | undefined;
  readonly found: boolean;
}

export interface Writer {
  readonly phase: "idle" | "began" | "committed" | "done";
  readonly asOf: Place | undefined;
  readonly version: number;
  readonly call: Call | undefined;
}

/** A call that waits at a sidecar until its change may be answered. */
export interface Call {
  readonly at: number;
  readonly place: Place;
  /** What the sidecar has seen of the members that have not applied the change. */
  readonly seen: readonly Seen[];
  readonly poll: Poll | undefined;
}

export interface Seen {
  readonly id: number;
  /** Ticks since the counter was first seen as it is. */
  readonly age: number;
  /** By how much the member's counter has grown since: 2 is two or more. */
  readonly moved: number;
}

/** A look at the members, made and not yet received. */
export interface Poll {
  readonly stage: "sent" | "made";
  readonly age: number;
  readonly missing: readonly (Seen & { readonly same: boolean })[];
}

/** A version of the event and the position before which it was read. */
export interface Fill {
  readonly asOf: Place;
  readonly value: number;
}

/** A process that reads the event in its database and puts it. */
export interface Filler {
  readonly asOf: Place | undefined;
  readonly value: number;
}

export const IDLE_FILLER: Filler = { asOf: undefined, value: NONE };

export const NEW_SIDECAR: Sidecar = {
  id: 0,
  lease: 0,
  flag: false,
  place: undefined,
  reach: 0,
  names: [],
  entry: NONE,
  outgoing: NONE,
  through: undefined,
  request: undefined,
  steady: 0,
  saw: NONE,
  sawAge: 0,
};

/** Every member has joined and holds a lease. */
export function initialState({ sidecars, writers, lease, behind }: LogScope): LogState {
  const database = (changes: readonly boolean[]): Database => ({
    incarnation: 0,
    recorded: 0,
    settled: true,
    epoch: 0,
    changes,
    trimmed: 0,
    members: sidecars.flatMap((role, index): Member[] =>
      role === "answers"
        ? []
        : [
            {
              id: index + 1,
              row: true,
              applied: { epoch: 0, sequence: changes.length },
              unflushed: undefined,
            },
          ],
    ),
  });
  const names = behind ? [false] : [];
  const place = { epoch: 0, sequence: names.length };
  return {
    truth: 0,
    announced: 0,
    database: database(names),
    backup: behind ? database([]) : undefined,
    sidecars: sidecars.map((role, index) =>
      role === "answers"
        ? NEW_SIDECAR
        : { ...NEW_SIDECAR, id: index + 1, lease, flag: true, place, names, saw: 0 },
    ),
    writers: writers.map(() => ({ phase: "idle", asOf: undefined, version: 0, call: undefined })),
    filler: IDLE_FILLER,
    tier: [],
    ghosts: [],
    used: { promotions: 0, restores: 0, crashes: 0, deaths: 0, leaves: 0, rejoins: 0, retries: 0 },
    nextId: sidecars.length + 1,
    nextEpoch: 1,
  };
}

export function headOf({ epoch, changes }: Database): Place {
  return { epoch, sequence: changes.length };
}

/** Replaces one sidecar. */
export function withSidecar(state: LogState, index: number, changed: Partial<Sidecar>): LogState {
  const sidecars = state.sidecars.with(index, { ...state.sidecars[index]!, ...changed });
  return { ...state, sidecars };
}

/** What a sidecar holds no longer once it has dropped its cache. */
export const DROPPED: Partial<Sidecar> = {
  place: undefined,
  reach: 0,
  names: [],
  entry: NONE,
  outgoing: NONE,
  through: undefined,
};
