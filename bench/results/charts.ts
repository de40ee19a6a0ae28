import { figure } from "../peers/rounds.js";
import { percentile } from "../support/report.js";
import { type Bars, drawBars } from "./chart.js";
import { measuredOf, type Run } from "./record.js";
import { deliveryCpu } from "./targets.js";

const READS = {
  stream: "GetEventsStream",
  calls: "GetEvents",
  lua: "Redis, Lua, pipelined",
  "two-trips": "Redis, two round trips",
  mget: "Redis, bodies alone",
  "grpc-js-stream": "grpc-js, fixed, stream",
} as const;

/** The charts of a run, by file name. */
export function chartsOf(run: Run): Map<string, string> {
  return new Map([
    ["reads.svg", drawBars(reads(run))],
    ["fan-out.svg", drawBars(fanOut(run))],
  ]);
}

function reads(run: Run): Bars {
  const groups = ["mix", "1", "10", "100"].map((size) => ({
    label: size === "mix" ? "recorded mix of sizes" : `${size} IDs`,
    bars: Object.entries(READS).flatMap(([variant, name]) => {
      const measured = measuredOf(run, "reads", variant, size);
      return measured === undefined ? [] : [{ name, value: figure(measured, "cpuPerOperation").median }];
    }),
  }));
  return { title: "CPU of the server for one read", unit: "µs, less is better", groups };
}

function fanOut(run: Run): Bars {
  const groups = ["20", "100", "500"].map((size) => ({
    label: `${size} subscribers`,
    bars: (["fan-out", "redis-fan-out"] as const).flatMap((variant) => {
      const values = deliveryCpu(run, "fan-out", variant, size);
      const name = variant === "fan-out" ? "Subscribe" : "Redis PUBLISH";
      return values === undefined ? [] : [{ name, value: percentile(values, 0.5) }];
    }),
  }));
  return { title: "CPU of the server for one delivery", unit: "µs, less is better", groups };
}
