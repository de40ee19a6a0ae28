/** The summary of a list of latencies, in milliseconds. */
export interface LatencySummary {
  readonly count: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

/** Latencies by the kind of call. */
export class Latencies {
  readonly #byCall = new Map<string, number[]>();

  /** Waits for a call and records its duration, whether or not it failed. */
  async time<T>(call: string, run: () => Promise<T>): Promise<T> {
    const start = performance.now();
    try {
      return await run();
    } finally {
      const latencies = this.#byCall.get(call) ?? [];
      latencies.push(performance.now() - start);
      this.#byCall.set(call, latencies);
    }
  }

  summaries(): ReadonlyMap<string, LatencySummary> {
    return new Map([...this.#byCall].map(([call, latencies]) => [call, summarize(latencies)]));
  }
}

function summarize(latencies: readonly number[]): LatencySummary {
  const sorted = Float64Array.from(latencies).sort();
  const quantile = (q: number) => sorted[Math.ceil(q * sorted.length) - 1] ?? Number.NaN;
  return {
    count: sorted.length,
    p50: quantile(0.5),
    p90: quantile(0.9),
    p99: quantile(0.99),
    max: quantile(1),
  };
}
