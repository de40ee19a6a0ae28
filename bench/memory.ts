/**
 * Fills a sidecar to its budget, and then once more, with events of one size, or in phases: with
 * events of one size and then of another, over and over, which is what allocators bear least. Compares
 * its resident memory with what is promised: 1.25 × budget + 100 MB at rest, and what is not collected yet. BENCH_NODE names the node that
 * runs the sidecar, BENCH_BUDGETS_MIB the budgets, BENCH_RUNS how often each is filled.
 */
import { execFileSync } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import { printMachine, printTable } from "./support/report.js";
import { startSidecar } from "./support/sidecar.js";
import { fill } from "./support/synthetic.js";

const MIB = 1024 * 1024;
const node = process.env["BENCH_NODE"] ?? process.execPath;
const budgetsMib = (process.env["BENCH_BUDGETS_MIB"] ?? "32,256").split(",").map(Number);
const runs = Number(process.env["BENCH_RUNS"] ?? "1");
/** The sizes of bodies, one phase each. */
const phasesOf: readonly (readonly number[])[] = [
  [1],
  [900],
  [64 * 1024],
  Array.from({ length: 6 }, (_, phase) => (phase % 2 === 0 ? 1 : 256 * 1024)),
];
const REST_MS = 5000;
/** Requests that have ended and that the garbage collector has not freed: it lets some tens of megabytes gather. */
const UNCOLLECTED_BYTES_MAX = 32_000_000;

printMachine(execFileSync(node, ["--version"]).toString().trim());
const rows: (string | number)[][] = [
  ["budget MiB", "body bytes", "events put", "at rest MiB", "peak MiB", "promised MiB", "at rest / promised"],
];
for (const budgetMib of budgetsMib) {
  for (const phases of phasesOf) {
    const promised = 1.25 * budgetMib * MIB + 100_000_000;
    const results = [];
    for (let run = 0; run < runs; run++) results.push(await measure(budgetMib, phases));
    const atRest = median(results.map((result) => result.atRest));
    const peak = median(results.map((result) => result.peak));
    rows.push([
      budgetMib,
      phases.length === 1 ? phases[0]! : `${phases.slice(0, 2).join(", ")} by turns`,
      results[0]!.count,
      Math.round(atRest / MIB),
      Math.round(peak / MIB),
      Math.round(promised / MIB),
      (atRest / promised).toFixed(2),
    ]);
    if (atRest > promised || peak > promised + UNCOLLECTED_BYTES_MAX) process.exitCode = 1;
  }
}
printTable(rows);

async function measure(budgetMib: number, phases: readonly number[]) {
  const sidecar = await startSidecar(["--memory", `${budgetMib}MiB`], { node });
  try {
    const client = sidecar.client();
    let count = 0;
    for (const bodyBytes of phases) {
      // An entry costs some 600 bytes besides its body: this is more than twice what fits.
      const events = Math.ceil((2 * budgetMib * MIB) / (bodyBytes + 600));
      await fill(client, "alpha.example", events, bodyBytes, { firstEvent: count });
      count += events;
    }
    await delay(REST_MS);
    const { now, peak } = sidecar.residentBytes();
    return { count, atRest: now, peak };
  } finally {
    await sidecar.stop();
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}
