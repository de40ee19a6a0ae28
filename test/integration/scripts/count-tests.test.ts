import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, it } from "vitest";

const SCRIPT = resolve(import.meta.dirname, "../../../scripts/count-tests.mjs");
const CORPUS_TEST = "reads all (needs SPLITCACHE_DATA or ../shared/data)";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "splitcache-"));
});

afterEach(() => rm(folder, { recursive: true }));

async function count(success: boolean, ...tests: readonly (readonly [title: string, status: string])[]) {
  const path = join(folder, "report.json");
  const assertionResults = tests.map(([title, status]) => ({
    title,
    fullName: `of it ${title}`,
    status,
    failureMessages: status === "failed" ? ["AssertionError: not so"] : [],
  }));
  const file = { name: resolve("a.test.ts"), status: success ? "passed" : "failed", assertionResults };
  const testResults = [{ ...file, message: success ? "" : "SyntaxError: no such thing" }];
  await writeFile(path, JSON.stringify({ success, testResults }));
  const env = { ...process.env, SPLITCACHE_DATA: folder };
  return await promisify(execFile)(process.execPath, [SCRIPT, path], { env });
}

it("excuses and names a skipped test that needs the corpus, where it is not there", async () => {
  const { stdout, stderr } = await count(true, ["a", "passed"], [CORPUS_TEST, "skipped"]);
  expect([stdout, stderr]).toEqual(["1 0\n", `SKIPPED: a.test.ts: of it ${CORPUS_TEST}\n`]);
});

it("counts such a test as failed where the corpus is there", async () => {
  await writeFile(join(folder, "events.jsonl.gz"), "");
  expect((await count(true, [CORPUS_TEST, "skipped"])).stdout).toBe("0 1\n");
});

it("counts any other skipped test, and a failing test, as failed", async () => {
  const { stdout, stderr } = await count(false, ["a", "skipped"], ["b", "passed"], [CORPUS_TEST, "failed"]);
  expect(stdout).toBe("1 2\n");
  expect(stderr.split("\n")).toEqual([
    "FAILED: a.test.ts: of it a: skipped",
    `FAILED: a.test.ts: of it ${CORPUS_TEST}: AssertionError: not so`,
    "",
  ]);
});

it("counts a run that failed without a failed test", async () => {
  const { stdout, stderr } = await count(false, ["a", "passed"]);
  expect(stdout).toBe("1 1\n");
  expect(stderr).toBe("FAILED: a.test.ts: SyntaxError: no such thing\n");
});
