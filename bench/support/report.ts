import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { cpus } from "node:os";

const require = createRequire(import.meta.url);

function versionOf(name: string): string {
  const manifest = require.resolve(name).replace(/(node_modules\/(?:@[^/]+\/)?[^/]+)\/.*/, "$1/package.json");
  return JSON.parse(readFileSync(manifest, "utf8")).version;
}

/** What ran where: figures mean nothing without it. */
export function printMachine(nodeVersion = process.version): void {
  const [cpu] = cpus();
  console.log(
    `node ${nodeVersion}, grpc-js ${versionOf("@grpc/grpc-js")}, lru-cache ${versionOf("lru-cache")}, ` +
      `${cpus().length} × ${cpu?.model ?? "unknown CPU"}`,
  );
}

/** A table of cells, aligned. */
export function printTable(rows: readonly (readonly (string | number)[])[]): void {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => String(row[column]).length)));
  for (const row of rows) {
    console.log(row.map((cell, column) => String(cell).padStart(widths[column]!)).join("  "));
  }
}

/** The value below which `share` of the numbers lie. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}
