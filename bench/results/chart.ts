/** A chart of horizontal bars as SVG, in groups with a bar for each name. */
export interface Bars {
  readonly title: string;
  readonly unit: string;
  readonly groups: readonly {
    readonly label: string;
    readonly bars: readonly { readonly name: string; readonly value: number }[];
  }[];
}

const WIDTH = 760;
const LABEL_WIDTH = 190;
const VALUE_WIDTH = 70;
const BAR_HEIGHT = 18;
const GROUP_GAP = 26;
const COLOURS = ["#2f6f9f", "#b5651d", "#7a8b99", "#5b8c5a", "#8d6a9f", "#c2a83e"];

/** Bars of one group are comparable; each group has a scale of its own. */
export function drawBars({ title, unit, groups }: Bars): string {
  const parts: string[] = [];
  let y = 44;
  for (const { label, bars } of groups) {
    parts.push(text(12, y + 12, label, "font-weight='bold'"));
    y += GROUP_GAP;
    const most = Math.max(...bars.map(({ value }) => value));
    for (const [at, { name, value }] of bars.entries()) {
      const width = Math.max(1, (value / most) * (WIDTH - LABEL_WIDTH - VALUE_WIDTH));
      parts.push(
        text(LABEL_WIDTH - 8, y + 13, name, "text-anchor='end'"),
        `<rect x='${LABEL_WIDTH}' y='${y}' width='${width.toFixed(1)}' height='${BAR_HEIGHT - 4}' fill='${COLOURS[at % COLOURS.length]}'/>`,
        text(LABEL_WIDTH + width + 6, y + 12, value.toFixed(value < 10 ? 1 : 0)),
      );
      y += BAR_HEIGHT;
    }
    y += 8;
  }
  return [
    `<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 ${WIDTH} ${y + 8}' font-family='sans-serif' font-size='12'>`,
    `<title>${escaped(title)}</title>`,
    "<rect width='100%' height='100%' fill='#ffffff'/>",
    text(12, 22, `${title} (${unit})`, "font-size='14' font-weight='bold'"),
    ...parts,
    "</svg>\n",
  ].join("\n");
}

function text(x: number, y: number, content: string, attributes = ""): string {
  return `<text x='${x.toFixed(1)}' y='${y}' fill='#222222' ${attributes}>${escaped(content)}</text>`;
}

function escaped(content: string): string {
  return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
