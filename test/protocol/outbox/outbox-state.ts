import { boundTicks, type Outbox, type OutboxScope } from "./outbox-rules.js";

/** A homeserver's database with its outbox, its processes, and the sidecars that they call. */
export interface OutboxState {
  readonly database: Database;
  /** An earlier state of the database: of a standby that receives no more, or of a lagging replica. */
  readonly backup: Database | undefined;
  /** The version that the old primary goes on showing after a failover. */
  readonly oldPrimary: number;
  /** For each version how many ticks ago it stopped being current; CURRENT if it did not. */
  readonly ages: readonly number[];
  /** The latest version whose write has returned to its user. */
  readonly returned: number;
  readonly sidecars: readonly Sidecar[];
  readonly processes: readonly Process[];
  /** The row of a COMMIT under way that nobody waits for. */
  readonly straggler: number;
  readonly used: Used;
  readonly nextRow: number;
  readonly nextEpoch: number;
}

export interface Used {
  readonly deaths: number;
  readonly sidecarDeaths: number;
  readonly registrations: number;
  readonly newEpochs: number;
  readonly failovers: number;
}

export interface Database {
  /** The event's version: the number of the last commit. */
  readonly version: number;
  readonly rows: readonly number[];
  readonly registered: number;
  readonly superseded: readonly number[];
  /** Of the server, and the incarnation that its tables hold. */
  readonly generation: number;
  readonly recorded: number;
}

export interface Sidecar {
  readonly alive: boolean;
  readonly epoch: number;
  readonly entry: number;
}

export const NONE = -1;
export const CURRENT = -1;

export interface Process {
  readonly poll: Poll | undefined;
  /** Ticks since the last successful poll was sent; the bound if there was none. */
  readonly since: number;
  /** The flag of a gate that is judged at polls alone. */
  readonly flag: boolean;
  /** What that poll showed: the registered epoch, whether the generation is the recorded one, and which. */
  readonly epoch: number;
  readonly generation: number;
  readonly purgeOwed: boolean;
  /** Ticks since it has known that this epoch is registered. */
  readonly epochAge: number;
  readonly rows: readonly KnownRow[];
  /** The rows that it has announced itself, in this epoch. */
  readonly announced: readonly number[];
  readonly write: Write | undefined;
  readonly call: Call | undefined;
  readonly fill: Fill | undefined;
  readonly lookup: Lookup | undefined;
  readonly near: Near;
}

export interface Poll {
  readonly age: number;
  /** What the database has answered. */
  readonly result: Database;
}

export interface KnownRow {
  readonly id: number;
  readonly age: number;
}

export interface Write {
  /** COMMIT sent; in the database; its reply received; its row deleted under `epoch`. */
  readonly stage: "sent" | "landed" | "replied" | "deleted";
  readonly row: number;
  readonly version: number;
  readonly age: number;
  readonly epoch: number;
}

export interface Call {
  readonly kind: "announce" | "purge" | "newEpoch";
  readonly row: number;
  readonly sidecar: number;
  readonly stage: "sent" | "effective" | "ok";
  readonly epoch: number;
}

/** A fill; a position that would be refused is gone. */
export interface Fill {
  readonly sidecar: number;
  readonly version: number;
  /** It was read from the old primary. */
  readonly old: boolean;
}

export interface Lookup {
  readonly age: number;
  /** The sidecar that answered it. */
  readonly sidecar: number;
  readonly epoch: number;
  readonly version: number;
  /** It was sent before the last write returned. */
  readonly early: boolean;
  /** A notice that came after it is: none, waiting before or after the proof's position, applied. */
  readonly noted: "none" | "before" | "after" | "applied";
}

/** A near cache and its stream of notices. */
export interface Near {
  readonly kept: number;
  /** Notices wait that the answer to the position request covers, and later ones. */
  readonly before: boolean;
  readonly after: boolean;
  readonly proof: "none" | "sent" | "answered" | "good";
  readonly proofAge: number;
}

const EMPTY_NEAR: Near = { kept: NONE, before: false, after: false, proof: "none", proofAge: 0 };

/** A process that has just started. */
export function newProcess(scope: OutboxScope): Process {
  return {
    poll: undefined,
    since: boundTicks(scope),
    flag: false,
    epoch: 0,
    generation: 0,
    purgeOwed: false,
    epochAge: boundTicks(scope),
    rows: [],
    announced: [],
    write: undefined,
    call: undefined,
    fill: undefined,
    lookup: undefined,
    near: EMPTY_NEAR,
  };
}

export function initialState({ scope, rules }: Outbox): OutboxState {
  const database: Database = {
    version: 0,
    rows: [],
    registered: 0,
    superseded: [],
    generation: 0,
    recorded: 0,
  };
  return {
    database,
    backup: rules.pollsPrimary && rules.fillsPrimary ? undefined : database,
    oldPrimary: NONE,
    ages: [CURRENT],
    returned: 0,
    sidecars: Array.from({ length: scope.sidecars }, (_, epoch) => ({ alive: true, epoch, entry: NONE })),
    processes: scope.processes.map(() => newProcess(scope)),
    straggler: scope.straggler ? 1 : NONE,
    used: { deaths: 0, sidecarDeaths: 0, registrations: 0, newEpochs: 0, failovers: 0 },
    nextRow: scope.straggler ? 2 : 1,
    nextEpoch: scope.sidecars,
  };
}

export function withProcess(state: OutboxState, index: number, changed: Partial<Process>): OutboxState {
  return { ...state, processes: state.processes.with(index, { ...state.processes[index]!, ...changed }) };
}

export function withDatabase(state: OutboxState, changed: Partial<Database>): OutboxState {
  return { ...state, database: { ...state.database, ...changed } };
}

/** O5: whether a process may send lookups. */
export function gateOpen(outbox: Outbox, process: Process): boolean {
  return outbox.rules.judgedAlways ? judgeGate(outbox, process) : process.flag;
}

export function judgeGate({ scope, rules }: Outbox, process: Process): boolean {
  const { since, rows, announced, purgeOwed } = process;
  if (rules.pollYoung && since >= scope.gate) return false;
  if (rules.generationCompared && purgeOwed) return false;
  return !rules.rowsYoung || rows.every(({ id, age }) => announced.includes(id) || age < scope.age);
}
