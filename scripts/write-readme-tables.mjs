// Writes the tables of options and metrics into README.md, between their markers,
// from the code that defines them. Needs `npm run build` before. With --check it
// writes nothing and fails if a table is not up to date.
import { readFileSync, writeFileSync } from "node:fs";
import { Registry } from "prom-client";
import { configTable } from "../dist/config/config-table.js";
import { observeCalls } from "../dist/telemetry/call-metrics.js";
import { registerConnectionMetrics } from "../dist/telemetry/connection-metrics.js";
import { observeFloods } from "../dist/telemetry/floods.js";
import { createMetrics } from "../dist/telemetry/metrics.js";

const path = new URL("../README.md", import.meta.url);
const before = readFileSync(path, "utf8");
const after = withTable(withTable(before, "config", configTable()), "metrics", metricsTable());

if (after !== before && process.argv.includes("--check")) {
  console.error("README.md: a table is not up to date; run npm run docs");
  process.exitCode = 1;
} else if (after !== before) {
  writeFileSync(path, after);
}

function withTable(text, name, table) {
  const [start, end] = [`<!-- ${name}:start -->`, `<!-- ${name}:end -->`];
  const [from, to] = [text.indexOf(start), text.indexOf(end)];
  if (from === -1 || to < from) throw new Error(`README.md has no markers ${start} and ${end}`);
  return `${text.slice(0, from + start.length)}\n${table}\n${text.slice(to)}`;
}

function metricsTable() {
  const registry = new Registry();
  observeCalls(registry);
  // Nothing is collected: the sources are never asked.
  observeFloods(registry, undefined);
  const { families } = createMetrics({ configuredHomeservers: [], backends: {} });
  registerConnectionMetrics(families, {});
  const all = [...registry.getMetricsAsArray(), ...families.all];
  const rows = all.map(({ name, type, labelNames, help }) => {
    const labels = labelNames.map((label) => `\`${label}\``).join(", ");
    return `| \`${name}\` | ${type} | ${labels} | ${help} |`;
  });
  return ["| Name | Kind | Labels | Meaning |", "|---|---|---|---|", ...rows].join("\n");
}
