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
 * some of the model's invariants, by name.
 */
export function explore<State>(
  model: Model<State>,
  statesMax: number,
  invariants: readonly string[] = Object.keys(model.invariants),
): Exploration {
  const seen = new Set([model.key(model.initial)]);
  const labels = new Set<string>();
  const cameFrom: number[] = [-1];
  const cameBy: string[] = [""];
  const checks = invariants.map((name) => [name, checkOf(model, name)] as const);
  const found = (at: number, state: State): Counterexample | undefined => {
    for (const [invariant, check] of checks) {
      const problem = check(state);
      if (problem !== undefined) return { invariant, problem, trace: traceTo(at, cameFrom, cameBy) };
    }
    return undefined;
  };
  const end = (exhaustive: boolean, counterexample?: Counterexample): Exploration => ({
    states: seen.size,
    exhaustive,
    labels,
    counterexample,
  });

  const broken = found(0, model.initial);
  if (broken !== undefined) return end(false, broken);
  let layer: readonly (readonly [number, State])[] = [[0, model.initial]];
  while (layer.length > 0) {
    const nextLayer: (readonly [number, State])[] = [];
    for (const [from, state] of layer) {
      for (const step of model.next(state)) {
        const key = model.key(step.state);
        if (seen.has(key)) continue;
        const at = seen.size;
        if (at >= statesMax) return end(false);
        seen.add(key);
        labels.add(step.label);
        cameFrom.push(from);
        cameBy.push(step.label);
        const counterexample = found(at, step.state);
        if (counterexample !== undefined) return end(false, counterexample);
        nextLayer.push([at, step.state]);
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

function traceTo(at: number, cameFrom: readonly number[], cameBy: readonly string[]): string[] {
  const trace: string[] = [];
  for (let index = at; index > 0; index = cameFrom[index]!) trace.push(cameBy[index]!);
  return trace.reverse();
}
