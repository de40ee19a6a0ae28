import type { Change, FillScope, Part } from "./fill-rules.js";

/**
 * What is known of one event: for each part the number of the commit that wrote
 * it. Commits count from 1 in the order of the database; 0 was there before.
 */
export type Value = readonly [number, number];

export interface Place {
  readonly epoch: number;
  readonly sequence: number;
}

export interface Writer {
  readonly phase: "idle" | "began" | "committed" | "calledEarly" | "called" | "done";
  readonly asOf: Place | undefined;
  readonly commit: number;
}

/** Nothing more follows from what a writer that is done had. */
export const DONE: Writer = { phase: "done", asOf: undefined, commit: 0 };

export interface Reader {
  readonly phase: "idle" | "positioned" | "read" | "putting" | "put" | "done";
  readonly asOf: Place | undefined;
  readonly value: Value | undefined;
}

export interface FillState {
  readonly commits: number;
  /** The database: one value an event. */
  readonly database: readonly Value[];
  /** For each event the latest commits that a call has announced. */
  readonly announced: readonly Value[];
  readonly epoch: number;
  /** Which events each change of this epoch named, as bits; the log holds the last of them. */
  readonly history: readonly number[];
  /** The entry of each event, if there is one. */
  readonly entries: readonly (Value | undefined)[];
  /** For each event the sequence number of its last change; used only for a fence in the entry. */
  readonly entryFences: readonly number[];
  readonly writers: readonly Writer[];
  readonly readers: readonly Reader[];
  /** Set when a write was accepted that the whole history of changes forbids. */
  readonly acceptedStale: string | undefined;
}

export function initialState({ events, writers, readers }: FillScope): FillState {
  const perEvent = <Item>(item: Item): Item[] => Array.from({ length: events }, () => item);
  return {
    commits: 0,
    database: perEvent([0, 0]),
    announced: perEvent([0, 0]),
    epoch: 0,
    history: [],
    entries: perEvent(undefined),
    entryFences: perEvent(0),
    writers: writers.map(() => ({ phase: "idle", asOf: undefined, commit: 0 })),
    readers: readers.map(() => ({ phase: "idle", asOf: undefined, value: undefined })),
    acceptedStale: undefined,
  };
}

/** The current position. */
export function here({ epoch, history }: FillState): Place {
  return { epoch, sequence: history.length };
}

/** The database commits a change. */
export function committed(state: FillState, change: Change): FillState {
  const commits = state.commits + 1;
  return { ...state, commits, database: changed(state.database, change, commits) };
}

/** A call for a commit was answered: from now on I1 speaks of it. */
export function announced(state: FillState, change: Change, commit: number): FillState {
  return { ...state, announced: changed(state.announced, change, commit) };
}

/** The parts that a change writes, at a commit; never back to an earlier one. */
function changed(values: readonly Value[], change: Change, commit: number): Value[] {
  return values.map((value, event): Value => {
    if (change.call !== "purgeRoom" && change.event !== event) return value;
    if (change.call === "set" || change.call === "setOnly") {
      return withPart(value, change.part, Math.max(value[change.part], commit));
    }
    return [Math.max(value[0], commit), Math.max(value[1], commit)];
  });
}

export function withPart(value: Value, part: Part, commit: number): Value {
  return part === 0 ? [commit, value[1]] : [value[0], commit];
}

/**
 * A text that is the same for two states exactly if they are equal, or become so
 * when writers that make the same change, or readers of the same event, swap
 * places: what can follow is then the same but for their names.
 */
export function keyOf(scope: FillScope, state: FillState): string {
  const place = (at: Place | undefined) => (at === undefined ? "" : `${at.epoch}.${at.sequence}`);
  const writers = state.writers.map(({ phase, asOf, commit }, index) => {
    const twin = scope.writers.indexOf(scope.writers[index]!);
    return `${twin}${phase}${place(asOf)}:${commit}`;
  });
  const readers = state.readers.map(
    ({ phase, asOf, value }, index) => `${scope.readers[index]}${phase}${place(asOf)}:${value}`,
  );
  return [
    state.commits,
    state.database.join(),
    state.announced.join(),
    state.epoch,
    state.history.join(),
    state.entries.join(";"),
    state.entryFences.join(),
    writers.sort().join(),
    readers.sort().join(),
    state.acceptedStale ?? "",
  ].join("|");
}
