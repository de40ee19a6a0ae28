import type { Histogram } from "./sources.js";

/** What was added to the counts of a histogram. */
export function addedCounts(before: readonly number[] | undefined, now: readonly number[]): number[] {
  return now.map((count, at) => Math.max(0, count - (before?.[at] ?? 0)));
}

/** The sum of counts of equal length. */
export function sumCounts(all: readonly (readonly number[])[]): number[] {
  const [first = [], ...rest] = all;
  const sum = [...first];
  for (const counts of rest) for (const [at, count] of counts.entries()) sum[at] = (sum[at] ?? 0) + count;
  return sum;
}

/**
 * Estimates a quantile, as `histogram_quantile` of Prometheus does: values are spread evenly between the
 * bounds of their bucket, and a value above the last bound counts as that bound. Undefined without values.
 */
export function quantile({ bounds, counts }: Histogram, share: number): number | undefined {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return undefined;
  const rank = share * total;
  let below = 0;
  for (const [at, count] of counts.entries()) {
    const upper = bounds[at];
    if (upper === undefined) break;
    if (count > 0 && below + count >= rank) {
      const lower = bounds[at - 1] ?? 0;
      return lower + (upper - lower) * ((rank - below) / count);
    }
    below += count;
  }
  return bounds.at(-1);
}
