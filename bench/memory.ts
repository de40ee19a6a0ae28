/**
 * Fills a sidecar to its budget, and then once more, with events of one size,
 * and compares its resident memory with what is promised: 1.25 × budget + 100 MB.
 * BENCH_NODE names the node that runs the sidecar.
 */
import { execFileSync } from "node:child_process";
import { printMachine, printTable } from "./report.js";
import { startSidecar } from "./sidecar.js";
import { fill } from "./synthetic.js";

const MIB = 1024 * 1024;
const node = process.env["BENCH_NODE"] ?? process.execPath;
const budgetsMib = (process.env["BENCH_BUDGETS_MIB"] ?? "32,256").split(",").map(Number);
const bodySizes = [1, 900, 64 * 1024];

printMachine(execFileSync(node, ["--version"]).toString().trim());
const rows: (string | number)[][] = [
  ["budget MiB", "body bytes", "events put", "resident MiB", "peak MiB", "promised MiB", "peak / promised"],
];
for (const budgetMib of budgetsMib) {
  for (const bodyBytes of bodySizes) {
    const sidecar = await startSidecar(["--memory", `${budgetMib}MiB`], { node });
    try {
      // An entry costs some 600 bytes besides its body: this is more than twice what fits.
      const count = Math.ceil((2 * budgetMib * MIB) / (bodyBytes + 600));
      await fill(sidecar.client(), "alpha.example", count, bodyBytes);
      const { now, peak } = sidecar.residentBytes();
      const promised = 1.25 * budgetMib * MIB + 100_000_000;
      rows.push([
        budgetMib,
        bodyBytes,
        count,
        Math.round(now / MIB),
        Math.round(peak / MIB),
        Math.round(promised / MIB),
        (peak / promised).toFixed(2),
      ]);
      if (peak > promised) process.exitCode = 1;
    } finally {
      await sidecar.stop();
    }
  }
}
printTable(rows);
