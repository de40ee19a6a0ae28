/**
 * Text of a server or a file as a terminal may show it: control characters, which could move the
 * cursor or change colours, and characters that reorder or hide text become visible escapes.
 */
export function terminalText(text: string): string {
  return text.replace(UNSAFE, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`);
}

/** Control, format and surrogate characters, line and paragraph separators. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** The lines of a table with aligned, escaped columns. Each line is cut to `widthMax` characters. */
export function formatTable(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  widthMax: number | undefined,
): string {
  const lines = [headings, ...rows].map((row) => row.map(terminalText));
  const widths = headings.map((_, column) =>
    lines.reduce((width, line) => Math.max(width, line[column]?.length ?? 0), 0),
  );
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
