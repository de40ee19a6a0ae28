import type { Model, Step } from "../explore.js";
import { type Change, FILL_RULES, type FillRules, type FillScope, type Fills } from "./fill-rules.js";
import { invalidate, put, takeEffect } from "./fill-sidecar.js";
import {
  announced,
  committed,
  DONE,
  type FillState,
  here,
  initialState,
  keyOf,
  type Reader,
  type Writer,
} from "./fill-state.js";

/**
 * One homeserver's sidecar, the database behind it, writers that change events of
 * one room and announce it, and readers that fill the cache from the database.
 * A call takes effect at any time after it was made, a second time after that (a
 * retry, a late copy), or never; entries are evicted at any time.
 */
export function fillModel(scope: FillScope, broken: Partial<FillRules> = {}): Model<FillState> {
  const fills = { scope, rules: { ...FILL_RULES, ...broken } };
  return {
    initial: initialState(scope),
    next: (state) => [
      ...state.writers.flatMap((_, index) => writerSteps(fills, state, index)),
      ...state.readers.flatMap((_, index) => readerSteps(fills, state, index)),
      ...sidecarSteps(fills, state),
    ],
    key: (state) => keyOf(scope, state),
    invariants: { I1: staleEntry, I5: ({ acceptedStale }) => acceptedStale },
  };
}

function writerSteps(fills: Fills, state: FillState, index: number): Step<FillState>[] {
  const writer = state.writers[index]!;
  const change = fills.scope.writers[index]!;
  const name = `writer ${index + 1}`;
  const call = describe(change);
  const to = (next: FillState, phase: Writer["phase"], asOf = writer.asOf, commit = writer.commit) => ({
    ...next,
    writers: next.writers.with(index, phase === "done" ? DONE : { phase, asOf, commit }),
  });
  switch (writer.phase) {
    case "idle": {
      const asOf = change.call === "set" ? here(state) : undefined;
      return [{ label: `${name} takes the position and begins`, state: to(state, "began", asOf) }];
    }
    case "began": {
      if (!fills.rules.callAfterCommit) {
        const called = invalidate(fills, state, change);
        return [
          { label: `${name}'s ${call} takes effect before its commit`, state: to(called, "calledEarly") },
        ];
      }
      const commit = state.commits + 1;
      return [
        { label: `${name} commits`, state: to(committed(state, change), "committed", writer.asOf, commit) },
      ];
    }
    case "calledEarly": {
      const after = announced(committed(state, change), change, state.commits + 1);
      return [{ label: `${name} commits`, state: to(after, "done") }];
    }
    case "committed":
      return [
        { label: `${name}'s ${call} takes effect`, state: to(takeEffect(fills, state, index), "called") },
      ];
    case "called":
      return [
        { label: `${name}'s ${call} takes effect again`, state: to(takeEffect(fills, state, index), "done") },
      ];
    case "done":
      return [];
  }
}

function readerSteps(fills: Fills, state: FillState, index: number): Step<FillState>[] {
  const reader = state.readers[index]!;
  const event = fills.scope.readers[index]!;
  const name = `reader ${index + 1}`;
  const to = (next: FillState, changed: Partial<Reader>) => ({
    ...next,
    readers: next.readers.with(index, { ...reader, ...changed }),
  });
  const position = (phase: Reader["phase"]): Step<FillState> => ({
    label: `${name} misses and gets the position`,
    state: to(state, { phase, asOf: here(state) }),
  });
  const snapshot = (phase: Reader["phase"]): Step<FillState> => ({
    label: `${name} reads event ${event + 1} in the database`,
    state: to(state, { phase, value: state.database[event]! }),
  });
  switch (reader.phase) {
    case "idle":
      return [fills.rules.asOfBeforeSnapshot ? position("positioned") : snapshot("read")];
    case "positioned":
      return [snapshot("putting")];
    case "read":
      return [position("putting")];
    case "putting":
      return [{ label: `${name}'s put takes effect`, state: to(put(fills, state, index), { phase: "put" }) }];
    case "put": {
      const done = { phase: "done", asOf: undefined, value: undefined } as const;
      return [{ label: `${name}'s put takes effect again`, state: to(put(fills, state, index), done) }];
    }
    case "done":
      return [];
  }
}

function sidecarSteps({ scope, rules }: Fills, state: FillState): Step<FillState>[] {
  const steps: Step<FillState>[] = [];
  state.entries.forEach((entry, event) => {
    const fence = rules.fenceInLog ? 0 : state.entryFences[event]!;
    if (entry === undefined && fence === 0) return;
    const evicted = {
      ...state,
      entries: state.entries.with(event, undefined),
      entryFences: state.entryFences.with(event, 0),
    };
    steps.push({ label: `event ${event + 1} is evicted`, state: evicted });
  });
  if (state.epoch < scope.restarts) {
    const { entries, entryFences } = initialState(scope);
    const restarted = { ...state, epoch: state.epoch + 1, history: [], entries, entryFences };
    steps.push({ label: "the sidecar restarts", state: restarted });
  }
  return steps;
}

function describe(change: Change): string {
  switch (change.call) {
    case "set":
    case "setOnly":
      return `${change.part === 0 ? "SetRedaction" : "SetRejected"} of event ${change.event + 1}`;
    case "invalidate":
      return `InvalidateEvents of event ${change.event + 1}`;
    case "purgeRoom":
      return "PurgeRoom";
  }
}

/** I1, and I8 for purges: an entry shows every change that was announced. */
function staleEntry({ entries, announced }: FillState): string | undefined {
  for (const [event, entry] of entries.entries()) {
    for (const [part, commit] of entry?.entries() ?? []) {
      const since = announced[event]![part]!;
      if (commit < since)
        return `event ${event + 1} is served as of commit ${commit}, ${since} was announced`;
    }
  }
  return undefined;
}
