// Writes values.schema.json of the Helm chart: the chart's own values from chart-values.schema.json, and the
// keys of `config` and `secretFiles` from the options of the configuration. Needs `npm run build` before.
// With --check it writes nothing and fails if the file is not up to date.
import { readFileSync, writeFileSync } from "node:fs";
import { configOptions, fileKeyOf } from "../dist/config/options.js";

const CHART = new URL("../deploy/helm/splitcache/", import.meta.url);
const target = new URL("values.schema.json", CHART);
const own = JSON.parse(readFileSync(new URL("../scripts/chart-values.schema.json", import.meta.url), "utf8"));

/** The type of a value in YAML, by the placeholder of the flag. */
const TYPES = new Map([
  ["<count>", { type: "integer", minimum: 1 }],
  // Not a number: Helm writes 268435456 as 2.68435456e+08.
  ["<bytes>", { type: "string", pattern: "^[0-9]+(([KMG]i?)?B|[KMG]i?)?$" }],
  ["<duration>", { type: "string", pattern: "^[0-9]+(\\.[0-9]+)?(ms|s|m|h|d)$" }],
  // Not a number: Helm writes 0660 as 432.
  ["<mode>", { type: "string", pattern: "^0?[0-7]{3}$" }],
  ["", { type: "boolean" }],
]);

own.properties.config = closedObject(
  "Keys of the configuration file",
  configOptions.map((option) => [fileKeyOf(option), configValue(option)]),
);
own.properties.secretFiles = closedObject(
  "Files from Secrets, by the key of the configuration that names the file",
  configOptions
    .filter((option) => option.name.endsWith("-file"))
    .map((option) => [fileKeyOf(option), { $ref: "#/$defs/secretFile", description: option.description }]),
);
const text = `${JSON.stringify(own, null, 2)}\n`;
if (!process.argv.includes("--check")) {
  writeFileSync(target, text);
} else if (readFileSync(target, "utf8") !== text) {
  console.error("deploy/helm/splitcache/values.schema.json is not up to date; run npm run docs");
  process.exitCode = 1;
}

function configValue({ description, placeholder, several }) {
  const one = TYPES.get(placeholder) ?? { type: "string" };
  return { description, ...(several ? { oneOf: [one, { type: "array", minItems: 1, items: one }] } : one) };
}

function closedObject(description, entries) {
  return {
    description,
    type: "object",
    additionalProperties: false,
    properties: Object.fromEntries(entries),
  };
}
