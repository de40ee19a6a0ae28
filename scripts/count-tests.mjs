/**
 * Prints how many tests of a vitest JSON report passed and how many failed, as
 * `passed failed`. A skipped test has failed, unless it needs the recorded corpus
 * (its name says so) and that is not there. Standard error names what did not pass.
 */
import { existsSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import process from "node:process";

/** Of what a test says of its failure, characters that are repeated here. */
const REASON_MAX = 2000;
const NEEDS_CORPUS = "(needs SPLITCACHE_DATA or ../shared/data)";

const corpusDir = process.env.SPLITCACHE_DATA ?? join(import.meta.dirname, "../../shared/data");
const hasCorpus = existsSync(join(corpusDir, "events.jsonl.gz"));
const report = JSON.parse(readFileSync(process.argv[2], "utf8"));
const tests = report.testResults.flatMap(({ name, assertionResults }) =>
  assertionResults.map((result) => ({ ...result, file: relative(process.cwd(), name) })),
);
const others = tests.filter(({ status }) => status !== "passed");
const excused = others.filter(
  ({ status, title }) => status !== "failed" && !hasCorpus && title.includes(NEEDS_CORPUS),
);
for (const test of others) {
  const name = `${test.file}: ${test.fullName}`;
  const reason = test.failureMessages[0]?.slice(0, REASON_MAX) ?? test.status;
  console.error(excused.includes(test) ? `SKIPPED: ${name}` : `FAILED: ${name}: ${reason}`);
}
const failed = others.length - excused.length;
// A run can fail without a failed test: in a file that does not load, say.
const failedAsAWhole = failed === 0 && !report.success;
if (failedAsAWhole) {
  for (const { name, message } of report.testResults.filter(({ status }) => status !== "passed"))
    console.error(`FAILED: ${relative(process.cwd(), name)}: ${message.slice(0, REASON_MAX)}`);
}
console.log(tests.length - others.length, failedAsAWhole ? 1 : failed);
