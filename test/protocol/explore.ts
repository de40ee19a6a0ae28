import { Fingerprints } from "./fingerprints.js";

/** A protocol as states and the steps between them; states are values and never change. */
export interface Model<State> {
  readonly initial: State;
  /** Everything that may happen next. */
  next(state: State): readonly Step<State>[];
  /** Equal for two states exactly if nothing that can follow tells them apart. */
  key(state: State): string;
  /** What must hold in every state, by name; a sentence says how it is broken. */
  readonly invariants: Readonly<Record<string, (state: State) => string | undefined>>;
}

export interface Step<State> {
  /** What happens, as a sentence for the reader of a trace. */
  readonly label: string;
  readonly state: State;
}

export interface Exploration {
  /** How many different states were reached. */
  readonly states: number;
  /** No state was left unvisited. False after a counterexample, or if the budget ran out. */
  readonly exhaustive: boolean;
  /** Every kind of step that was taken. */
  readonly labels: ReadonlySet<string>;
  readonly counterexample: Counterexample | undefined;
}

export interface Counterexample {
  readonly invariant: string;
  /** How the invariant is broken in the last state. */
  readonly problem: string;
  /** The labels of the steps to it, from the initial state; no shorter way exists. */
  readonly trace: readonly string[];
}

/**
 * Visits every state of a model, breadth first, until an invariant breaks, no
 * state is left, or `statesMax` are reached. `invariants` restricts the check to
 * some of the model's invariants, by name. Of a state that was visited only a
 * fingerprint is kept, and the step that led to it: a trace is walked again.
 */
export function explore<State>(
  model: Model<State>,
  statesMax: number,
  invariants: readonly string[] = Object.keys(model.invariants),
): Exploration {
  const seen = new Fingerprints();
  const labels = new Set<string>();
  const cameFrom: number[] = [-1];
  const cameBy: number[] = [-1];
  const checks = invariants.map((name) => [name, checkOf(model, name)] as const);
  const found = (at: number, state: State): Counterexample | undefined => {
    for (const [invariant, check] of checks) {
      const problem = check(state);
      if (problem !== undefined) return { invariant, problem, trace: traceTo(model, at, cameFrom, cameBy) };
    }
    return undefined;
  };
  const end = (exhaustive: boolean, counterexample?: Counterexample): Exploration => ({
    states: cameFrom.length,
    exhaustive,
    labels,
    counterexample,
  });

  seen.add(model.key(model.initial));
  const broken = found(0, model.initial);
  if (broken !== undefined) return end(false, broken);
  let layer: State[] = [model.initial];
  while (layer.length > 0) {
    const first = seen.size - layer.length;
    const nextLayer: State[] = [];
    for (const [from, state] of layer.entries()) {
      for (const [by, step] of model.next(state).entries()) {
        if (!seen.add(model.key(step.state))) continue;
        const at = seen.size - 1;
        if (at >= statesMax) return end(false);
        labels.add(step.label);
        cameFrom.push(first + from);
        cameBy.push(by);
        const counterexample = found(at, step.state);
        if (counterexample !== undefined) return end(false, counterexample);
        nextLayer.push(step.state);
      }
    }
    layer = nextLayer;
  }
  return end(true);
}

/** A counterexample as numbered lines; a step that is repeated stands once, with its count. */
export function formatCounterexample({ invariant, problem, trace }: Counterexample): string {
  const lines: { label: string; count: number }[] = [];
  for (const label of trace) {
    const last = lines.at(-1);
    if (last?.label === label) last.count += 1;
    else lines.push({ label, count: 1 });
  }
  const numbered = lines.map(
    ({ label, count }, index) => `  ${index + 1}. ${label}${count > 1 ? ` (${count} times)` : ""}`,
  );
  return [`${invariant} is broken: ${problem}`, ...numbered].join("\n");
}

function checkOf<State>(model: Model<State>, name: string): (state: State) => string | undefined {
  const check = model.invariants[name];
  if (check === undefined) throw new Error(`the model has no invariant ${name}`);
  return check;
}

function traceTo<State>(
  model: Model<State>,
  at: number,
  cameFrom: readonly number[],
  cameBy: readonly number[],
): string[] {
  const path: number[] = [];
  for (let index = at; index > 0; index = cameFrom[index]!) path.push(cameBy[index]!);
  let state = model.initial;
  return path.reverse().map((by) => {
    const step = model.next(state)[by]!;
    state = step.state;
    return step.label;
  });
}
