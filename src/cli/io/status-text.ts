import type { Status, StatusFigure, StatusSection } from "../client/status.js";
import { formatTable, terminalText } from "./text.js";

/** The state of a sidecar in lines, each cut to a width. */
export function statusLines({ title, sections }: Status, widthMax: number | undefined): string[] {
  const figures = sections.flatMap((section) => section.figures);
  const labelWidth = Math.max(0, ...figures.map(({ label }) => label.length));
  const valueWidth = Math.max(0, ...figures.map(({ value }) => value.length));
  const lines = [terminalText(title)];
  for (const section of sections) {
    lines.push("", terminalText(section.title).toUpperCase());
    for (const figure of section.figures) lines.push(figureLine(figure, labelWidth, valueWidth));
    lines.push(...tableLines(section, widthMax));
  }
  return lines.map((line) => (widthMax === undefined ? line : line.slice(0, widthMax)));
}

function figureLine(figure: StatusFigure, labelWidth: number, valueWidth: number): string {
  const { label, value, note, lines, chartMax } = figure;
  const cells = [
    terminalText(label).padEnd(labelWidth),
    terminalText(value).padEnd(valueWidth),
    sparkline(lines.at(-1) ?? [], chartMax).padStart(CHART_WIDTH),
    terminalText(note),
  ];
  return `  ${cells.join("  ")}`.trimEnd();
}

function tableLines({ table }: StatusSection, widthMax: number | undefined): string[] {
  if (table === undefined || table.rows.length === 0) return [];
  const width = widthMax === undefined ? undefined : Math.max(1, widthMax - 2);
  const text = formatTable(table.headings, table.rows.slice(0, ROWS_MAX), width);
  return text
    .trimEnd()
    .split("\n")
    .map((line) => `  ${line}`);
}

/** The newest values as blocks of eight heights. */
function sparkline(values: readonly (number | null)[], max?: number): string {
  const shown = values.slice(-CHART_WIDTH);
  const top = max ?? shown.reduce<number>((top, value) => Math.max(top, value ?? 0), 0);
  return shown
    .map((value) => {
      if (value === null) return " ";
      const height = top <= 0 ? 0 : Math.round((Math.min(value, top) / top) * (BLOCKS.length - 1));
      return BLOCKS[Math.max(0, height)];
    })
    .join("");
}

const BLOCKS = "▁▂▃▄▅▆▇█";
const CHART_WIDTH = 24;
const ROWS_MAX = 10;
