import { figure, type Measured, type Spread, spread } from "../peers/rounds.js";
import type { Run } from "./record.js";
import { targetRows } from "./targets.js";

/** `bench/RESULTS.md` of a run. */
export function documentOf(run: Run): string {
  return [
    "# Results of the benchmarks",
    "",
    "Written by `npm run bench`; [README.md](README.md) describes how it measures.",
    "",
    ...conditions(run),
    "",
    "## Targets",
    "",
    "A ratio divides the CPU of the peer by the CPU of the sidecar, in the same round: above 1 the sidecar needs less.",
    "Each figure is the median of the rounds, with the lowest and the highest.",
    "",
    "| what | target | measured | met |",
    "|---|---|---|---|",
    ...targetRows(run).map(({ what, target, measured, isMet }) => {
      const met = isMet === undefined ? "" : isMet ? "yes" : "no";
      return `| ${what} | ${target} | ${measured === undefined ? "not measured" : shown(measured, 2)} | ${met} |`;
    }),
    "",
    "![CPU of the server for one read](charts/reads.svg)",
    "",
    "![CPU of the server for one delivery](charts/fan-out.svg)",
    "",
    "## All figures",
    "",
    ...scenarioTables(run.measured),
    "## Memory, purges, start, near cache",
    "",
    "| what | unit | median (lowest–highest) |",
    "|---|---|---|",
    ...run.singles.map(({ name, unit, values }) => `| ${name} | ${unit} | ${shown(spread(values), 1)} |`),
    "",
  ].join("\n");
}

function conditions(run: Run): string[] {
  const { corpus } = run;
  const [before, after] = run.loadAverage.map((load) => load.toFixed(1));
  return [
    `- ${run.date}; ${run.isShort ? "**short form**: fewer events, short rounds" : "full form"}; took ${run.minutes} minutes`,
    `- ${run.machine}; load average ${before} before and ${after} after`,
    `- Node ${run.node}; Redis ${run.redis}`,
    `- ${run.events} events of ${corpus.meanReplyBytes} bytes on average ("many": ${run.millionEvents})`,
    `- recorded mix: ${corpus.batchMedian} ID at the median, ${corpus.batchP90} at the 90th and ${corpus.batchP99} at the 99th percentile, ${corpus.batchMean.toFixed(1)} on average`,
    ...run.failures.map((failure) => `- **failed**: ${failure}`),
    "- 4 connections with 16 requests in flight each, unless the name of a row says otherwise; the server has one core, the load another",
  ];
}

function scenarioTables(measured: readonly Measured[]): string[] {
  const names = [...new Set(measured.map(({ scenario }) => scenario))];
  return names.flatMap((name) => [
    `### ${name}`,
    "",
    "| size | variant | CPU µs a request | CPU µs an event | requests/s | p50 / p99 / p99.9 ms | core: server / others | load |",
    "|---|---|---|---|---|---|---|---|",
    ...measured.filter(({ scenario }) => scenario === name).map(row),
    "",
  ]);
}

function row(of: Measured): string {
  const ms = (key: "p50" | "p99" | "p999") => (figure(of, key).median / 1000).toFixed(2);
  const percent = (key: "serverBusy" | "othersBusy" | "loadBusy") =>
    `${(100 * figure(of, key).median).toFixed(0)} %`;
  return `| ${[
    of.size,
    of.variant,
    shown(figure(of, "cpuPerOperation"), 1),
    figure(of, "cpuPerEvent").median.toFixed(2),
    figure(of, "perSecond").median.toFixed(0),
    `${ms("p50")} / ${ms("p99")} / ${ms("p999")}`,
    `${percent("serverBusy")} / ${percent("othersBusy")}`,
    percent("loadBusy"),
  ].join(" | ")} |`;
}

function shown({ median, low, high }: Spread, digits: number): string {
  const text = median.toFixed(digits);
  return low === high ? text : `${text} (${low.toFixed(digits)}–${high.toFixed(digits)})`;
}
