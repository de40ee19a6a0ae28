import { cpuRatio, figure, type Measured, type Spread, spread } from "../peers/rounds.js";
import { measuredOf, type Run, singleOf } from "./record.js";

/** A row of the table of targets. */
export interface Row {
  readonly what: string;
  readonly target: string;
  readonly measured: Spread | undefined;
  readonly isMet: boolean | undefined;
}

/** Each target beside what the run measured. */
export function targetRows(run: Run): Row[] {
  return [...readRows(run), ...fanOutRows(run), ...otherRows(run)];
}

function readRows(run: Run): Row[] {
  const against = (what: string, of: string, other: string, size: string, least: number) =>
    atLeast(`${what}, ${sizeText(size)}`, ratio(run, "reads", of, other, size), least);
  return [
    against("GetEventsStream against pipelined Lua", "stream", "lua", "mix", 1.3),
    against("GetEventsStream against pipelined Lua", "stream", "lua", "1", 0.65),
    against("GetEventsStream against pipelined Lua", "stream", "lua", "10", 1.8),
    against("GetEventsStream against pipelined Lua", "stream", "lua", "100", 3),
    against("GetEventsStream, share of the grpc-js ceiling", "stream", "grpc-js-stream", "1", 0.85),
    against("GetEventsStream, share of the grpc-js ceiling", "stream", "grpc-js-stream", "10", 0.6),
    against("GetEventsStream, share of the grpc-js ceiling", "stream", "grpc-js-stream", "100", 0.45),
    against("GetEvents, share of the grpc-js ceiling", "calls", "grpc-js-calls", "1", 0.85),
    against("GetEvents, share of the grpc-js ceiling", "calls", "grpc-js-calls", "10", 0.75),
    against("GetEvents, share of the grpc-js ceiling", "calls", "grpc-js-calls", "100", 0.55),
    against("GetEventsStream against MGET of bodies alone", "stream", "mget", "100", 0.55),
    atLeast("PutEvents of 100 against MSET and HSET", ratio(run, "puts", "puts", "redis-puts", "100"), 1),
  ];
}

function fanOutRows(run: Run): Row[] {
  const paced = "fan-out, 50 a second";
  const latency = (variant: string) => measuredOf(run, paced, variant, "100");
  return [
    atMost("CPU of a delivery against PUBLISH, 20 subscribers", deliveries(run, "fan-out", "20"), 8),
    atMost("CPU of a delivery against PUBLISH, 500 subscribers", deliveries(run, "fan-out", "500"), 2.5),
    atMost("CPU of a delivery against PUBLISH, 50 a second to 100", deliveries(run, paced, "100"), 3),
    atMost(
      "median latency against PUBLISH, 50 a second to 100",
      divided(latency("fan-out"), latency("redis-fan-out"), "p50"),
      2,
    ),
  ];
}

function otherRows(run: Run): Row[] {
  const rows = [
    atMost(
      "memory against Redis, one homeserver",
      dividedSingles(run, "memory of the first homeserver, sidecar", "memory of the first homeserver, Redis"),
      1,
    ),
    atMost(
      "memory of a further homeserver against the first",
      dividedSingles(
        run,
        "memory of the further homeserver, sidecar",
        "memory of the first homeserver, sidecar",
      ),
      0.15,
    ),
    atMost(
      "p99.9 of 10 IDs beside 5 % writes, many entries against 1,000",
      divided(
        measuredOf(run, "slowest reads", "many entries", "10"),
        measuredOf(run, "slowest reads", "1,000 entries", "10"),
        "p999",
      ),
      2,
    ),
    atMost(
      "PurgeRoom of many events against 1,000",
      dividedSingles(run, "PurgeRoom of many events", "PurgeRoom of 1,000 events"),
      2,
    ),
    atMost(
      "longer wait beside PurgeRoom of many events, ms",
      valuesOf(run, "longer wait beside PurgeRoom of many events"),
      10,
    ),
    atMost("start to first answer, ms of CPU", valuesOf(run, "start to first answer"), 300),
    atMost("resident when empty, MiB", valuesOf(run, "resident when empty"), 80),
  ];
  return [...rows, ...nodeRows(run)];
}

/** Only if a second Node took part. */
function nodeRows(run: Run): Row[] {
  const rows: Row[] = [];
  for (const variant of ["stream", "calls"]) {
    for (const size of ["1", "10", "100", "mix"]) {
      const measured = ratio(run, "nodes", `node-${variant}`, variant, size);
      const what = `the other Node against this, ${variant}, ${sizeText(size)}`;
      if (measured !== undefined) rows.push(atLeast(what, measured, 0.9));
    }
  }
  const puts = ratio(run, "nodes, puts", "node-puts", "puts", "100");
  if (puts !== undefined) rows.push(atLeast("the other Node against this, puts of 100", puts, 0.9));
  return rows;
}

function sizeText(size: string): string {
  if (size === "mix") return "the mix";
  return size === "1" ? "1 ID" : `${size} IDs`;
}

function atLeast(what: string, measured: Spread | undefined, least: number): Row {
  return { what, target: `≥ ${least}`, measured, isMet: measured && measured.median >= least };
}

function atMost(what: string, measured: Spread | undefined, most: number): Row {
  return { what, target: `≤ ${most}`, measured, isMet: measured && measured.median <= most };
}

function ratio(run: Run, scenario: string, of: string, other: string, size: string): Spread | undefined {
  const [one, two] = [measuredOf(run, scenario, of, size), measuredOf(run, scenario, other, size)];
  return one && two && cpuRatio(one, two);
}

function divided(
  one: Measured | undefined,
  two: Measured | undefined,
  key: "p50" | "p999",
): Spread | undefined {
  return one && two && spread(one.rounds.map((round, at) => round[key] / two.rounds[at]![key]));
}

/** CPU of a delivery of a sidecar by the CPU of a delivery of Redis, without what the publishing calls cost. */
function deliveries(run: Run, scenario: string, size: string): Spread | undefined {
  const [one, two] = ["fan-out", "redis-fan-out"].map((variant) => deliveryCpu(run, scenario, variant, size));
  return one && two && spread(one.map((value, at) => value / two[at]!));
}

export function deliveryCpu(run: Run, scenario: string, variant: string, size: string): number[] | undefined {
  const of = measuredOf(run, scenario, variant, size);
  const alone = measuredOf(run, "fan-out", variant, "0");
  if (of === undefined || alone === undefined) return undefined;
  const call = figure(alone, "cpuPerOperation").median;
  return of.rounds.map((round) => ((round.cpuPerOperation - call) * round.operations) / round.events);
}

function valuesOf(run: Run, name: string): Spread | undefined {
  const single = singleOf(run, name);
  return single && spread(single.values);
}

function dividedSingles(run: Run, one: string, two: string): Spread | undefined {
  const [first, second] = [singleOf(run, one), singleOf(run, two)];
  return first && second && spread(first.values.map((value, at) => value / second.values[at]!));
}
