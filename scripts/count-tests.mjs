/**
 * Prints how many tests of a vitest JSON report passed and how many failed, as
 * `passed failed`. A skipped test has failed, unless it needs the recorded corpus
 * (its name says so) and that is not there; then standard error names it.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";

const NEEDS_CORPUS = "(needs SPLITCACHE_DATA or ../shared/data)";

const corpusDir = process.env.SPLITCACHE_DATA ?? join(import.meta.dirname, "../../shared/data");
const hasCorpus = existsSync(join(corpusDir, "events.jsonl.gz"));
const report = JSON.parse(readFileSync(process.argv[2], "utf8"));
const tests = report.testResults.flatMap(({ assertionResults }) => assertionResults);
const others = tests.filter(({ status }) => status !== "passed");
const excused = others.filter(
  ({ status, title }) => status !== "failed" && !hasCorpus && title.includes(NEEDS_CORPUS),
);
for (const { fullName } of excused) console.error(`SKIPPED: ${fullName}`);
const failed = others.length - excused.length;
// A run can fail without a failed test: in a file that does not load, say.
console.log(tests.length - others.length, failed > 0 || report.success ? failed : 1);
