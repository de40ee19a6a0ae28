import { terminalText } from "./terminal-text.js";

/**
 * Lines of a table with aligned columns. Cells are escaped for terminals; the
 * last column is cut to `widthMax` characters in all.
 */
export function formatTable(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  widthMax: number | undefined,
): string {
  const lines = [headings, ...rows].map((row) => row.map(terminalText));
  const widths = headings.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? "").length)));
  return lines
    .map((line) => line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  "))
    .map((line) => `${cut(line.trimEnd(), widthMax)}\n`)
    .join("");
}

/** Lines of `name  value`, aligned. */
export function formatPairs(pairs: readonly (readonly [string, string | number])[]): string {
  const width = Math.max(...pairs.map(([name]) => name.length));
  return pairs
    .map(([name, value]) => `${terminalText(name).padEnd(width)}  ${terminalText(String(value))}\n`)
    .join("");
}

function cut(line: string, widthMax: number | undefined): string {
  return widthMax === undefined || line.length <= widthMax ? line : `${line.slice(0, widthMax - 1)}…`;
}
