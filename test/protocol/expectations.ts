import { expect } from "vitest";
import { type Exploration, explore, formatCounterexample, type Model } from "./explore.js";

/** Far above every scope used here: a model that reaches it is broken, not large. */
const STATES_MAX = 3_000_000;

/**
 * Walks the whole model and fails, with the trace, if an invariant breaks; fails
 * also if there are fewer than `statesMin` states, since a model in which nothing
 * happens holds every invariant.
 */
export function expectHolds<State>(model: Model<State>, statesMin: number): Exploration {
  const result = explore(model, STATES_MAX);
  if (result.counterexample !== undefined) throw new Error(formatCounterexample(result.counterexample));
  expect(result.exhaustive, "the exploration ran out of states, not of budget").toBe(true);
  expect(result.states).toBeGreaterThanOrEqual(statesMin);
  return result;
}

/**
 * Fails unless this one invariant breaks, by a trace of at most `stepsMax` steps.
 * With TRACES set in the environment, prints the trace.
 */
export function expectBreaks<State>(model: Model<State>, invariant: string, stepsMax: number): void {
  const { counterexample, states } = explore(model, STATES_MAX, [invariant]);
  if (counterexample === undefined) throw new Error(`${invariant} holds in all ${states} states`);
  if (process.env["TRACES"]) console.log(formatCounterexample(counterexample));
  expect(counterexample.invariant).toBe(invariant);
  expect(counterexample.trace.length).toBeGreaterThan(0);
  expect(counterexample.trace.length, formatCounterexample(counterexample)).toBeLessThanOrEqual(stepsMax);
}

/**
 * Follows a story, given as labels, each with the number of times it is taken,
 * and returns the state at its end. Fails where the model has no such step.
 */
export function walk<State>(model: Model<State>, story: readonly (readonly [number, string])[]): State {
  let state = model.initial;
  for (const [times, label] of story) {
    for (let count = 0; count < times; count++) {
      const step = model.next(state).find((candidate) => candidate.label === label);
      if (step === undefined) throw new Error(`"${label}" cannot happen here`);
      state = step.state;
    }
  }
  return state;
}
