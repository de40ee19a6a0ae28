// Writes the generated parts of docs/ between their markers, from the code that
// defines them: options, metrics, limits, commands and exit codes. Needs
// `npm run build` before. With --check it writes nothing and fails if a part is
// not up to date.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Registry } from "prom-client";
import { EXIT_CODES } from "../dist/cli/exit-code.js";
import { configTable } from "../dist/config/flags.js";
import * as limits from "../dist/core/model/limits.js";
import { observeCalls } from "../dist/telemetry/call-metrics.js";
import { registerConnectionMetrics, registerTlsMetrics } from "../dist/telemetry/connection-metrics.js";
import { observeFloods } from "../dist/telemetry/floods.js";
import { createMetrics } from "../dist/telemetry/metrics.js";
// Writes or checks the schema of the chart's values, with the same arguments.
import "./write-helm-schema.mjs";

/** Each generated part: its page, the name in its markers, and what makes it. */
const PARTS = [
  ["configuration.md", "config", configTable],
  ["metrics.md", "metrics", metricsTable],
  ["limits.md", "limits", limitsTable],
  ["command-line.md", "commands", () => fenced(help("--help"))],
  ["command-line.md", "exit-codes", exitCodesTable],
];

const isCheck = process.argv.includes("--check");
for (const [page, name, make] of PARTS) {
  const path = new URL(`../docs/${page}`, import.meta.url);
  const before = readFileSync(path, "utf8");
  const after = withPart(page, before, name, make());
  if (after === before) continue;
  if (isCheck) {
    console.error(`docs/${page}: the part "${name}" is not up to date; run npm run docs`);
    process.exitCode = 1;
  } else {
    writeFileSync(path, after);
  }
}

function withPart(page, text, name, part) {
  const [start, end] = [`<!-- ${name}:start -->`, `<!-- ${name}:end -->`];
  const [from, to] = [text.indexOf(start), text.indexOf(end)];
  if (from === -1 || to < from) throw new Error(`docs/${page} has no markers ${start} and ${end}`);
  return `${text.slice(0, from + start.length)}\n${part}\n${text.slice(to)}`;
}

function metricsTable() {
  const registry = new Registry();
  observeCalls(registry);
  // Nothing is collected: the sources are never asked.
  observeFloods(registry, undefined);
  const { families } = createMetrics({ configuredHomeservers: [], backends: {} });
  registerConnectionMetrics(families, {});
  registerTlsMetrics(families, {});
  const all = [...registry.getMetricsAsArray(), ...families.all];
  const rows = all.map(({ name, type, labelNames, help }) => {
    const labels = labelNames.map((label) => `\`${label}\``).join(", ");
    return `| \`${name}\` | ${type} | ${labels} | ${help} |`;
  });
  return ["| Name | Kind | Labels | Meaning |", "|---|---|---|---|", ...rows].join("\n");
}

function limitsTable() {
  const rows = [
    ["Event IDs or events in one call", count(limits.BATCH_MAX)],
    ["Event ID, room ID", `1 to ${bytes(limits.ID_BYTES_MAX)}`],
    ["Homeserver name", `1 to ${bytes(limits.NAME_BYTES_MAX)}`],
    ["Subscriber name", bytes(limits.NAME_BYTES_MAX)],
    ["Room version", `1 to ${bytes(limits.ROOM_VERSION_BYTES_MAX)}`],
    ["Body", `1 byte to ${bytes(limits.BODY_BYTES_MAX)}`],
    ["Redacted body", bytes(limits.BODY_BYTES_MAX)],
    ["Internal metadata", bytes(limits.INTERNAL_METADATA_BYTES_MAX)],
    ["Rejected reason", bytes(limits.REJECTED_REASON_BYTES_MAX)],
    ["Epoch", `exactly ${bytes(limits.EPOCH_BYTES)}`],
    ["Request", bytes(limits.REQUEST_BYTES_MAX)],
    ["Reply", bytes(limits.REPLY_BYTES_MAX)],
    ["Notices in one batch", count(limits.BATCH_NOTICES_MAX)],
    ["Bytes of one batch", bytes(limits.BATCH_BYTES_MAX)],
    ["Field violations named in one error", count(limits.VIOLATIONS_MAX)],
    ["Details of one error", bytes(limits.ERROR_DETAILS_BYTES_MAX)],
  ].map(([what, limit]) => `| ${what} | ${limit} |`);
  return ["| What | Limit |", "|---|---|", ...rows].join("\n");
}

function count(number) {
  return number.toLocaleString("en");
}

function bytes(number) {
  if (number >= 1024 * 1024) return `${number / (1024 * 1024)} MiB`;
  if (number >= 4 * 1024) return `${number / 1024} KiB`;
  return `${count(number)} bytes`;
}

function exitCodesTable() {
  const rows = Object.entries(EXIT_CODES).map(([code, meaning]) => `| ${code} | ${meaning} |`);
  return ["| Code | Meaning |", "|---|---|", ...rows].join("\n");
}

function help(...args) {
  const main = fileURLToPath(new URL("../dist/main.js", import.meta.url));
  return execFileSync(process.execPath, [main, ...args], { encoding: "utf8" });
}

function fenced(text) {
  return `\`\`\`text\n${text.trimEnd()}\n\`\`\``;
}
