/**
 * The state of the lease model. Nothing in it counts up: times are ages, which
 * stop where they stop to matter, and of positions and tokens only that is kept
 * which decides what becomes of them. So the model is finite although time,
 * crashes, restarts and changes have no end.
 */
export interface LeaseState {
  readonly sidecar: Sidecar;
  readonly process: Process;
  /** A COMMIT of a process that is gone, which the database has not seen yet. */
  readonly straggler: boolean;
  /** Calls and replies under way; each arrives at some time, or never. */
  readonly network: readonly Message[];
  readonly reader: Reader;
  readonly near: Near;
}

/** What the sidecar holds for the homeserver: one event and one writer's name. */
export interface Sidecar {
  /** Clients have named the writer since the log started. */
  readonly declared: boolean;
  readonly lease: "none" | "live" | "lapsed" | "released";
  /** How long ago the token was issued by which the live lease runs. */
  readonly leaseAge: number;
  readonly entry: Copy;
}

/**
 * A copy of the event: NO_COPY, CURRENT, or how long ago the first change was
 * committed that it does not show.
 */
export type Copy = number;
export const NO_COPY: Copy = -2;
export const CURRENT: Copy = -1;

/**
 * A lease token: FOREIGN if it is none or not one of the sidecar's present
 * lease, else how long ago it was issued. `newest`: no later one was issued.
 */
export interface Token {
  readonly age: number;
  readonly newest: boolean;
}
export const FOREIGN: Token = { age: -1, newest: false };

/** The one process at a time that runs under the writer's name. */
export interface Process {
  /**
   * fresh: has not been granted its first lease; attached: announces its
   * changes; detached: does not; gone: died, or released its lease.
   */
  readonly phase: "fresh" | "attached" | "detached" | "gone";
  readonly token: Token;
  readonly transaction: Transaction | undefined;
}

export interface Transaction {
  /** open; COMMIT sent; in the database; COMMIT's reply received. */
  readonly phase: "open" | "sent" | "committed" | "replied";
  /** Its change will be announced: it did not begin while detached. */
  readonly announces: boolean;
  /** How long ago it began to count as pending; -1 if it does not yet. */
  readonly pendingAge: number;
  /** How long ago COMMIT's reply came. */
  readonly replyAge: number;
}

export interface Message {
  readonly kind: "renewal" | "grant" | "release" | "releaseUnleased";
  readonly token: Token;
  /** A renewal whose reply the process that runs now still waits for. */
  readonly awaited: boolean;
}

/** A reader that fills the cache. A position that would be refused counts as none. */
export interface Reader {
  /** It has declared the writer in the present epoch. */
  readonly declared: boolean;
  readonly phase: "idle" | "positioned" | "read";
  readonly copy: Copy;
}

/** A worker with a near cache and a subscription whose frames arrive at once, or not at all. */
export interface Near {
  readonly copy: Copy;
  /** A notice or Reset that it has not heard yet drops the copy. */
  readonly outdated: boolean;
  /** How long it has heard nothing. */
  readonly silence: number;
}

export const INITIAL: LeaseState = {
  sidecar: { declared: false, lease: "none", leaseAge: 0, entry: NO_COPY },
  process: { phase: "gone", token: FOREIGN, transaction: undefined },
  straggler: false,
  network: [],
  reader: { declared: false, phase: "idle", copy: NO_COPY },
  near: { copy: NO_COPY, outdated: false, silence: 0 },
};

/** The state with every token of it replaced. */
export function mapTokens(state: LeaseState, map: (token: Token) => Token): LeaseState {
  return {
    ...state,
    process: { ...state.process, token: map(state.process.token) },
    network: state.network.map((message) => ({ ...message, token: map(message.token) })),
  };
}

/** The state with every copy of the event replaced. */
export function mapCopies(state: LeaseState, map: (copy: Copy) => Copy): LeaseState {
  const { sidecar, reader, near } = state;
  return {
    ...state,
    sidecar: { ...sidecar, entry: map(sidecar.entry) },
    reader: { ...reader, copy: map(reader.copy) },
    near: { ...near, copy: map(near.copy) },
  };
}

/** The database applies a COMMIT: what was current until now misses a change. */
export function commitToDatabase(state: LeaseState): LeaseState {
  return mapCopies(state, (copy) => (copy === CURRENT ? 0 : copy));
}

/** A text that is the same for two states exactly if they are equal; messages have no order. */
export function keyOf({ sidecar, process, straggler, network, reader, near }: LeaseState): string {
  const token = ({ age, newest }: Token) => (newest ? `${age}!` : `${age}`);
  const { transaction } = process;
  const messages = network.map(
    (message) => message.kind + token(message.token) + (message.awaited ? "?" : ""),
  );
  return [
    sidecar.declared ? "d" : "",
    sidecar.lease,
    sidecar.leaseAge,
    sidecar.entry,
    process.phase,
    token(process.token),
    transaction === undefined
      ? ""
      : `${transaction.phase}${transaction.announces}${transaction.pendingAge},${transaction.replyAge}`,
    straggler ? "s" : "",
    messages.length > 1 ? messages.sort().join() : (messages[0] ?? ""),
    reader.declared ? "d" : "",
    reader.phase,
    reader.copy,
    near.copy,
    near.outdated ? "o" : "",
    near.silence,
  ].join("|");
}
