import type { CorpusDescription } from "../peers/load.js";
import type { Measured } from "../peers/rounds.js";

/** A figure that is not a load: memory, times. One value for each round. */
export interface Single {
  readonly name: string;
  readonly unit: string;
  readonly values: readonly number[];
}

/** All figures of one run, as `build/bench-results.json` holds them. */
export interface Run {
  readonly date: string;
  readonly machine: string;
  readonly node: string;
  readonly redis: string;
  readonly loadAverage: readonly [before: number, after: number];
  readonly isShort: boolean;
  readonly minutes: number;
  readonly corpus: CorpusDescription;
  readonly events: number;
  readonly millionEvents: number;
  /** Scenarios that failed, with their errors. */
  readonly failures: readonly string[];
  readonly measured: readonly Measured[];
  readonly singles: readonly Single[];
}

export function measuredOf(run: Run, scenario: string, variant: string, size: string): Measured | undefined {
  return run.measured.find(
    (each) => each.scenario === scenario && each.variant === variant && each.size === size,
  );
}

export function singleOf(run: Run, name: string): Single | undefined {
  return run.singles.find((each) => each.name === name);
}
