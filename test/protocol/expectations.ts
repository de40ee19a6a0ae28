import { expect } from "vitest";
import { type Exploration, explore, formatCounterexample, type Model } from "./explore.js";

/** `SPLITCACHE_PROTOCOL_SCOPE=large` adds the scopes that take minutes. */
export const LARGE = process.env["SPLITCACHE_PROTOCOL_SCOPE"] === "large";

/** A walk takes seconds, or minutes in a large scope, on a machine that does nothing else. */
export const WALK_TIMEOUT_MS = LARGE ? 3_600_000 : 120_000;

/** Far above every scope used here: a model that reaches it is broken, not large. */
const STATES_MAX = LARGE ? 40_000_000 : 1_000_000;

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
  if (LARGE) console.log(`${expect.getState().currentTestName}: ${result.states} states`);
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
 * Fails unless a story, given as labels, ends in a state that breaks an invariant
 * of the model without a rule, and cannot happen or breaks nothing with the rule.
 */
export function expectStoryBreaks<State>(
  without: Model<State>,
  withRule: Model<State>,
  invariant: string,
  story: readonly (readonly [number, string])[],
): void {
  expect(without.invariants[invariant]!(walk(without, story)), invariant).toBeDefined();
  let last: State;
  try {
    last = walk(withRule, story);
  } catch {
    return;
  }
  expect(withRule.invariants[invariant]!(last), `${invariant} with the rule`).toBeUndefined();
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
