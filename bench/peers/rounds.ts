import { percentile } from "../support/report.js";
import type { LoadResult } from "./load.js";

/** The figures of one variant in all rounds. */
export interface Measured {
  readonly scenario: string;
  readonly variant: string;
  readonly size: string;
  readonly rounds: readonly LoadResult[];
}

export interface Spread {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

export function spread(values: readonly number[]): Spread {
  return { median: percentile(values, 0.5), low: Math.min(...values), high: Math.max(...values) };
}

export function figure(of: Measured, key: keyof LoadResult): Spread {
  return spread(of.rounds.map((round) => round[key]));
}

/** How many times less CPU an operation takes than with the other: the ratio of each round, as rounds differ. */
export function cpuRatio(of: Measured, other: Measured): Spread {
  return spread(
    of.rounds.map((round, at) => (other.rounds[at]?.cpuPerOperation ?? Number.NaN) / round.cpuPerOperation),
  );
}
