/** One series: the values of the family's labels, and the value of the series. */
export type Series = readonly [labelValues: readonly string[], value: number];

/** Returns all series of a metric. A series that is no longer returned ends. */
export type Collect = () => Iterable<Series>;

export interface MetricFamily {
  readonly type: "counter" | "gauge";
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly string[];
  /** Called at each scrape, so that calls do no work for metrics. */
  readonly collect: Collect;
}

/** Collects metrics whose values are read at each scrape. */
export class MetricFamilies {
  readonly all: MetricFamily[] = [];

  counter(name: string, help: string, labelNames: readonly string[], collect: Collect): void {
    this.all.push({ type: "counter", name, help, labelNames, collect });
  }

  gauge(name: string, help: string, labelNames: readonly string[], collect: Collect): void {
    this.all.push({ type: "gauge", name, help, labelNames, collect });
  }
}

/** The only series of a metric without labels. */
export function only(value: number): Iterable<Series> {
  return [[[], value]];
}

/** The lines of a family in the Prometheus text format, without line ends. */
export function* familyLines({ type, name, help, labelNames, collect }: MetricFamily): Generator<string> {
  yield `# HELP ${name} ${help.replace(/[\\\n]/g, escaped)}`;
  yield `# TYPE ${name} ${type}`;
  for (const [labelValues, value] of collect()) {
    const labels = labelNames.map((label, at) => `${label}="${escapeLabel(labelValues[at] ?? "")}"`);
    yield `${name}${labels.length === 0 ? "" : `{${labels.join(",")}}`} ${value}`;
  }
}

function escapeLabel(value: string): string {
  return /[\\\n"]/.test(value) ? value.replace(/[\\\n"]/g, escaped) : value;
}

function escaped(character: string): string {
  return character === "\n" ? "\\n" : `\\${character}`;
}
