import { Counter, Gauge, type Registry } from "prom-client";

/** Gives the value of the series with these label values. */
export type SetSeries = (labelValues: readonly string[], value: number) => void;

/** Gives all series of a metric, at each scrape anew; those that are no longer given are gone. */
export type Collect = (set: SetSeries) => void;

type MakeMetric = (name: string, help: string, labelNames: readonly string[], collect: Collect) => void;

/** Makes metrics whose values are looked up when they are scraped. */
export interface MetricMaker {
  readonly counter: MakeMetric;
  readonly gauge: MakeMetric;
}

/** Makes metrics in a registry. */
export function makerOf(registry: Registry): MetricMaker {
  const registers = [registry];
  return {
    counter: (name, help, labelNames, collect) => {
      new Counter({
        name,
        help,
        labelNames,
        registers,
        collect() {
          this.reset();
          collect((labelValues, value) => this.labels(...labelValues).inc(value));
        },
      });
    },
    gauge: (name, help, labelNames, collect) => {
      new Gauge({
        name,
        help,
        labelNames,
        registers,
        collect() {
          this.reset();
          collect((labelValues, value) => this.labels(...labelValues).set(value));
        },
      });
    },
  };
}

/**
 * Shares one value among those who ask for it in one turn of the event loop: all
 * metrics of a scrape are collected in one turn, and then fit to one another.
 */
export function sharedInTurn<Value>(take: () => Value): () => Value {
  let taken: { readonly value: Value } | undefined;
  return () => {
    if (taken === undefined) {
      taken = { value: take() };
      queueMicrotask(() => {
        taken = undefined;
      });
    }
    return taken.value;
  };
}
