import { CHART_HEIGHT, CHART_WIDTH, chartPaths } from "./charts.js";
import type { Figure, Report, Section, Table } from "./report-shape.js";

/** The page: readable without its script, which only refreshes it. */
export function pageHtml(report: Report, intervalMs: number): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>splitcache</title>
<link rel="icon" href="/status.svg" type="image/svg+xml">
<link rel="stylesheet" href="/status.css">
<script src="/status.js" defer></script>
</head>
<body data-interval="${intervalMs}" data-state="${report.state}">
<header><h1>splitcache</h1><p id="title">${escapeHtml(report.title)}</p><p id="stale" role="status"></p></header>
<main>
${report.sections.map(sectionHtml).join("\n")}
</main>
<footer><p>Charts show the last 15 minutes. Figures are also at <a href="/status.json">/status.json</a> and <a href="/metrics">/metrics</a>, or in a terminal with <code>splitcache top</code>.</p></footer>
</body>
</html>
`;
}

function sectionHtml({ title, figures, table }: Section): string {
  return `<section>
<h2>${escapeHtml(title)}</h2>
<div class="figures">
${figures.map(figureHtml).join("\n")}
</div>${table === undefined ? "" : tableHtml(table)}
</section>`;
}

function figureHtml(figure: Figure): string {
  const { label, value, note, isBad = false } = figure;
  return `<article class="figure${isBad ? " bad" : ""}"><h3>${escapeHtml(label)}</h3><p class="value">${escapeHtml(value)}</p>${chartHtml(figure)}<p class="note">${escapeHtml(note)}</p></article>`;
}

function chartHtml(figure: Figure): string {
  const paths = chartPaths(figure).map((path) => `<path d="${path}"/>`);
  if (paths.length === 0) return "";
  const name = escapeHtml(`${figure.label}, last 15 minutes`);
  return `<svg viewBox="0 -1 ${CHART_WIDTH + 1} ${CHART_HEIGHT + 2}" preserveAspectRatio="none" role="img" aria-label="${name}">${paths.join("")}</svg>`;
}

function tableHtml({ headings, textColumns, rows, note }: Table): string {
  const cells = (tag: string, texts: readonly string[]) =>
    texts
      .map((text, at) => `<${tag}${at < textColumns ? ' class="text"' : ""}>${escapeHtml(text)}</${tag}>`)
      .join("");
  return `
<div class="table" tabindex="0"><table><thead><tr>${cells("th", headings)}</tr></thead>
<tbody>${rows.map((row) => `<tr>${cells("td", row)}</tr>`).join("\n")}</tbody></table></div>
<p class="note more">${escapeHtml(note)}</p>`;
}

/** Names of homeservers and subscribers come from clients. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
