/** The style sheet. Colours follow the system: dark or light. */
export const STYLE = `:root {
  color-scheme: light dark;
  --back: #f6f7f9; --card: #fff; --line: #d9dde3; --text: #1a1d21; --faint: #5b6470;
  --first: #1665c0; --second: #b35900; --bad: #b3261e;
  --figure: 15rem;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #14171b; --card: #1d2126; --line: #363c44; --text: #e8eaed; --faint: #a2abb6;
    --first: #6db1ff; --second: #ffb366; --bad: #ff8a80;
  }
}
@media (max-width: 40rem) { :root { --figure: 9rem; } }
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1rem; max-width: 80rem; background: var(--back); color: var(--text);
  font: 1rem/1.4 system-ui, sans-serif; font-variant-numeric: tabular-nums;
}
h1 { font-size: 1.4rem; margin: 0; }
h2 { font-size: 1.05rem; margin: 1.5rem 0 .5rem; }
h3 { font-size: .85rem; font-weight: 600; color: var(--faint); margin: 0; }
p { margin: 0; }
a { color: var(--first); }
footer, .note { color: var(--faint); font-size: .8rem; }
footer { margin-top: 1.5rem; }
[data-state="bad"] #title, #stale, .bad .value { color: var(--bad); font-weight: 600; }
.figures { display: grid; gap: .75rem; grid-template-columns: repeat(auto-fill, minmax(min(var(--figure), 100%), 1fr)); }
.figure {
  background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .75rem;
  display: flex; flex-direction: column; min-width: 0; overflow-wrap: anywhere;
}
.value { font-size: 1.35rem; font-weight: 600; }
.more { margin-top: .25rem; }
svg { width: 100%; height: 2.5rem; margin: .25rem 0; border-bottom: 1px solid var(--line); overflow: visible; }
path {
  fill: none; stroke: var(--first); stroke-width: 1.75; stroke-linecap: round; stroke-linejoin: round;
  vector-effect: non-scaling-stroke;
}
path + path { stroke: var(--second); }
.table {
  margin-top: .75rem; max-height: 30rem; overflow: auto; background: var(--card);
  border: 1px solid var(--line); border-radius: .5rem;
}
table { border-collapse: collapse; width: 100%; font-size: .85rem; }
th, td { padding: .35rem .6rem; text-align: right; white-space: nowrap; }
th { position: sticky; top: 0; background: var(--card); color: var(--faint); }
td { border-top: 1px solid var(--line); }
.text { text-align: left; }
td:first-child { min-width: 9rem; max-width: 24rem; white-space: normal; overflow-wrap: anywhere; }
`;

/**
 * Refreshes the page. It writes texts and paths only, never HTML, and asks for nothing while the page is
 * hidden.
 */
export const SCRIPT = `"use strict";
const intervalMs = Number(document.body.dataset.interval);
const stale = document.getElementById("stale");

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function showTable(section, { textColumns, rows, note }) {
  const [body] = section.querySelector("table").tBodies;
  while (body.rows.length > rows.length) body.deleteRow(-1);
  for (const [number, row] of rows.entries()) {
    const line = body.rows[number] ?? body.insertRow();
    for (const [at, text] of row.entries()) {
      const cell = line.cells[at] ?? line.insertCell();
      if (at < textColumns) cell.className = "text";
      write(cell, text);
    }
  }
  write(section.querySelector(".more"), note);
}

function show({ title, state, sections }) {
  document.body.dataset.state = state;
  write(document.getElementById("title"), title);
  const shown = document.querySelectorAll("section");
  for (const [at, { figures, table }] of sections.entries()) {
    const articles = shown[at].querySelectorAll("article");
    for (const [number, { value, note, isBad, paths }] of figures.entries()) {
      const article = articles[number];
      article.classList.toggle("bad", isBad === true);
      write(article.querySelector(".value"), value);
      write(article.querySelector(".note"), note);
      const lines = article.querySelectorAll("path");
      for (const [line, path] of paths.entries()) lines[line].setAttribute("d", path);
    }
    if (table !== undefined) showTable(shown[at], table);
  }
}

async function refresh() {
  try {
    if (document.hidden) return;
    const reply = await fetch("/status.json", { signal: AbortSignal.timeout(10000) });
    if (!reply.ok) throw new Error("HTTP status " + reply.status);
    show((await reply.json()).report);
    write(stale, "");
  } catch (error) {
    write(stale, "These figures are old: the sidecar does not answer.");
  } finally {
    setTimeout(refresh, intervalMs);
  }
}

setTimeout(refresh, intervalMs);
`;

export const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="3" fill="#1665c0"/><path d="M3 12L7 5L9 9L13 3" fill="none" stroke="#fff" stroke-width="2"/></svg>`;
