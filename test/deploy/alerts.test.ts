import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import { CHART, ROOT } from "./chart.js";

const RULES = `${CHART}/files/alerts.yaml`;
const CASES = join(import.meta.dirname, "alerts.test.yaml");
const hasPromtool = promtool("--version").status === 0;

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly annotations: { readonly summary: string; readonly description: string };
}

const rules: Rule[] = parse(readFileSync(RULES, "utf8")).groups[0].rules;

function promtool(...args: string[]) {
  return spawnSync("promtool", args, { encoding: "utf8" });
}

describe("the alert rules", () => {
  it.skipIf(!hasPromtool)("are valid, and each fires at its fault and not before", () => {
    expect(promtool("check", "rules", RULES)).toMatchObject({ status: 0, stderr: "" });
    const { status, stdout, stderr } = promtool("test", "rules", CASES);
    expect(`${stdout}${stderr}`).not.toContain("FAILED");
    expect(status).toBe(0);
  });

  it.skipIf(!hasPromtool).each(rules.map(({ alert }) => alert))("the cases fail without %s", (alert) => {
    const folder = mkdtempSync(join(tmpdir(), "splitcache-rules-"));
    const file = join(folder, "alerts.yaml");
    writeFileSync(
      file,
      stringify({ groups: [{ name: "g", rules: rules.filter((rule) => rule.alert !== alert) }] }),
    );
    const cases = join(folder, "cases.yaml");
    writeFileSync(cases, readFileSync(CASES, "utf8").replace(/^rule_files: .*$/m, `rule_files: [${file}]`));
    const { status } = promtool("test", "rules", cases);
    rmSync(folder, { recursive: true });
    expect(status).not.toBe(0);
  });

  it.each(rules.map(({ alert }) => alert))("docs/operations.md says what to do at %s", (alert) => {
    expect(readFileSync(`${ROOT}docs/operations.md`, "utf8")).toContain(`| \`${alert}\` |`);
  });
});
