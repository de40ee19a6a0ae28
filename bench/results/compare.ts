import { printTable } from "../support/report.js";
import type { Run } from "./record.js";
import { type Row, targetRows } from "./targets.js";

/** A change of a ratio by less than this is noise on a busy machine. */
const NOISE = 0.1;

/** Prints the ratios of two runs, and returns how many became worse by more than noise. */
export function compareRuns(run: Run, earlier: Run): number {
  const before = new Map(targetRows(earlier).map((row) => [row.what, row]));
  const rows: string[][] = [["what", "target", "earlier", "now", "change"]];
  let worse = 0;
  for (const row of targetRows(run)) {
    const then = before.get(row.what)?.measured?.median;
    const now = row.measured?.median;
    if (then === undefined || now === undefined) continue;
    const verdict = verdictOf(row, then, now);
    if (verdict === "worse") worse++;
    rows.push([row.what, row.target, then.toFixed(2), now.toFixed(2), verdict]);
  }
  printTable(rows);
  return worse;
}

export function verdictOf({ target }: Pick<Row, "target">, then: number, now: number): string {
  const gain = (target.startsWith("≥") ? now / then : then / now) - 1;
  if (Math.abs(gain) <= NOISE) return "same";
  return gain > 0 ? "better" : "worse";
}
