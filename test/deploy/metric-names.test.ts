import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { CHART, ROOT } from "./chart.js";

const METRIC = /\b(?:splitcache|grpc_server|process|nodejs)_[a-z0-9_]*[a-z0-9]\b/g;
/** Series of a histogram. */
const PART = /_(bucket|sum|count)$/;
/** Of prom-client, which docs/metrics.md does not list. */
const OF_THE_RUNTIME = /^(process|nodejs)_/;

const documented = new Set(
  [...readFileSync(`${ROOT}docs/metrics.md`, "utf8").matchAll(/^\| `(\w+)` \| /gm)].map(([, name]) => name),
);

it.each([
  `${CHART}/files/dashboard.json`,
  `${CHART}/files/alerts.yaml`,
  `${ROOT}test/deploy/alerts.test.yaml`,
  `${ROOT}docs/operations.md`,
  `${ROOT}docs/security.md`,
])("%s names metrics that docs/metrics.md lists", (path) => {
  const named = [...new Set(readFileSync(path, "utf8").match(METRIC))];
  expect(named.length).toBeGreaterThan(0);
  const unknown = named.filter(
    (name) => !OF_THE_RUNTIME.test(name) && !documented.has(name) && !documented.has(name.replace(PART, "")),
  );
  expect(unknown).toEqual([]);
});
