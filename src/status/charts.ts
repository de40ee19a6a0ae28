import { SAMPLES_MAX } from "./limits.js";
import type { Figure } from "./report-shape.js";

/** The size of a chart in its own units: one for each sample across. */
export const CHART_WIDTH = SAMPLES_MAX - 1;
export const CHART_HEIGHT = 40;

/**
 * The paths of a figure's lines, in the syntax of SVG. The newest sample is at the right edge. A value that
 * is not known leaves a gap.
 */
export function chartPaths({ lines, chartMax }: Pick<Figure, "lines" | "chartMax">): string[] {
  const max = chartMax ?? lines.flat().reduce<number>((max, value) => Math.max(max, value ?? 0), 0);
  return lines.map((line) => pathOf(line, max));
}

function pathOf(line: readonly (number | null)[], max: number): string {
  const left = SAMPLES_MAX - line.length;
  let path = "";
  let isDrawing = false;
  for (const [at, value] of line.entries()) {
    if (value === null) {
      isDrawing = false;
      continue;
    }
    const share = max <= 0 ? 0 : Math.min(1, value / max);
    const y = Number((CHART_HEIGHT * (1 - share)).toFixed(1));
    // A line of no length shows a sample between two gaps, because its ends are round.
    path += isDrawing ? `L${left + at} ${y}` : `M${left + at} ${y}h0`;
    isDrawing = true;
  }
  return path;
}
