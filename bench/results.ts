/**
 * The whole comparison: reads, puts, fan-out, memory, purges and start of a sidecar against Redis
 * and against fixed replies. Writes RESULTS.md, charts and build/bench-results.json.
 * bench/README.md describes the options. Needs go, redis-server, PostgreSQL and taskset.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { parseArgs } from "node:util";
import { type CorpusDescription, LoadGenerator } from "./peers/load.js";
import { measureReads, READS, type ServerName } from "./peers/reads.js";
import type { Measured } from "./peers/rounds.js";
import { ON_LOAD_CORE, type Peer } from "./peers/servers.js";
import { measureAlone } from "./results/alone.js";
import { chartsOf } from "./results/charts.js";
import { compareRuns } from "./results/compare.js";
import { documentOf } from "./results/document.js";
import { measureMillion } from "./results/million.js";
import { startPeer } from "./results/peers-of-group.js";
import { type Group, makePlan, serversOf } from "./results/plan.js";
import type { Run, Single } from "./results/record.js";
import { targetRows } from "./results/targets.js";
import { printTable } from "./support/report.js";

const { values: options } = parseArgs({
  options: {
    short: { type: "boolean", default: false },
    against: { type: "string" },
    node: { type: "string", default: process.execPath },
    "other-node": { type: "string" },
    json: { type: "string", default: "build/bench-results.json" },
    out: { type: "string", default: "bench" },
  },
});
const otherNode = options["other-node"];
const earlier: Run | undefined =
  options.against === undefined ? undefined : JSON.parse(readFileSync(options.against, "utf8"));
const plan = makePlan(options.short, otherNode !== undefined);
const startedMs = Date.now();
const loadBefore = loadavg()[0]!;
const versionOf = (program: string) => execFileSync(program, ["--version"]).toString().trim();

const load = new LoadGenerator({ events: plan.maxEvents, prefix: ON_LOAD_CORE });
const measured: Measured[] = [];
const singles: Single[] = [];
const failures: string[] = [];
let corpus: CorpusDescription;
try {
  const { events } = plan.groups[0]!;
  corpus = await load.run<CorpusDescription>({ workload: "describe", events });
  for (const group of plan.groups) {
    const name = `servers with ${group.events} events, ${group.homeservers} homeservers`;
    await attempt(name, () => measureGroup(group, corpus.meanReplyBytes));
  }
  await attempt("many events", async () => {
    const million = await measureMillion(plan, load, options.node);
    measured.push(...million.measured);
    singles.push(...million.singles);
  });
} finally {
  await load.stop();
}
await attempt("one sidecar alone", async () => {
  singles.push(...(await measureAlone(plan, options.node)));
});
report({
  date: new Date(startedMs).toISOString().slice(0, 10),
  machine: `${cpus().length} × ${cpus()[0]?.model ?? "unknown CPU"}`,
  node:
    otherNode === undefined
      ? versionOf(options.node)
      : `${versionOf(options.node)}, other ${versionOf(otherNode)}`,
  redis: /v=(\S+)/.exec(versionOf("redis-server"))?.[1] ?? "unknown",
  loadAverage: [loadBefore, loadavg()[0]!],
  isShort: options.short,
  minutes: Math.round((Date.now() - startedMs) / 60_000),
  corpus,
  events: plan.groups[0]!.events,
  millionEvents: plan.millionEvents,
  failures,
  measured,
  singles,
});

async function measureGroup(group: Group, fixedBytes: number): Promise<void> {
  const { events, homeservers } = group;
  const peers = new Map<ServerName, Peer>();
  try {
    for (const server of serversOf(group, (variant) => READS[variant]!.server)) {
      const peer = await startPeer(server, load, {
        node: options.node,
        otherNode,
        fixedBytes,
        events,
        homeservers,
      });
      peers.set(server, peer);
    }
    for (const scenario of group.scenarios) {
      await attempt(scenario.name, async () => {
        const spec = { events, homeservers, ...scenario.spec };
        measured.push(...(await measureReads({ ...scenario, spec }, load, peers, fixedBytes)));
      });
    }
  } finally {
    for (const peer of peers.values()) await peer.stop();
  }
}

/** An error costs the figures of one scenario, and is reported with the others. */
async function attempt(name: string, work: () => Promise<void>): Promise<void> {
  console.error(`${Math.round((Date.now() - startedMs) / 1000)} s: ${name}`);
  try {
    await work();
  } catch (error) {
    console.error(error);
    failures.push(`${name}: ${error}`);
    process.exitCode = 1;
  }
}

function report(run: Run): void {
  printTable([
    ["what", "target", "measured", "met"],
    ...targetRows(run).map(({ what, target, measured: value, isMet }) => [
      what,
      target,
      value?.median.toFixed(2) ?? "–",
      isMet === undefined ? "" : isMet ? "yes" : "no",
    ]),
  ]);
  mkdirSync(`${options.out}/charts`, { recursive: true });
  writeFileSync(`${options.out}/RESULTS.md`, documentOf(run));
  for (const [name, svg] of chartsOf(run)) writeFileSync(`${options.out}/charts/${name}`, svg);
  writeFileSync(options.json, `${JSON.stringify(run)}\n`);
  console.log(`wrote ${options.out}/RESULTS.md, ${options.out}/charts and ${options.json}`);
  if (earlier !== undefined && compareRuns(run, earlier) > 0) process.exitCode = 1;
}
