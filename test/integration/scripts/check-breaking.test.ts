import { execFile } from "node:child_process";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, it } from "vitest";

const SCRIPT = resolve(import.meta.dirname, "../../../scripts/check-breaking.sh");

let folder: string;
let env: NodeJS.ProcessEnv;

/** A repository with one commit, and an `npx` that only says what it was asked. */
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "splitcache-"));
  await writeFile(join(folder, "npx"), '#!/bin/sh\necho "npx $*"\n');
  await chmod(join(folder, "npx"), 0o755);
  const person = { NAME: "n", EMAIL: "n@example.org" };
  const people = Object.entries(person).flatMap(([key, value]) => [
    [`GIT_AUTHOR_${key}`, value],
    [`GIT_COMMITTER_${key}`, value],
  ]);
  env = {
    PATH: `${folder}${delimiter}${process.env["PATH"]}`,
    GIT_CONFIG_GLOBAL: "/dev/null",
    ...Object.fromEntries(people),
  };
  await git("init", "--quiet", "--initial-branch", "main");
  await commit();
});

afterEach(() => rm(folder, { recursive: true }));

async function run(file: string, ...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(file, args, { cwd: folder, env });
  return stdout.trim();
}

const git = (...args: string[]) => run("git", ...args);

async function commit(): Promise<string> {
  await git("commit", "--quiet", "--allow-empty", "--message", "change");
  return await git("rev-parse", "HEAD");
}

const comparedWith = (ref: string) => expect.stringContaining(`npx buf breaking --against .git#ref=${ref}`);

it("says that there is nothing to compare the first commit with", async () => {
  expect(await run("bash", SCRIPT)).toBe("buf breaking: there is no earlier commit to compare with");
});

it("compares with the commit before on main, where neither release nor origin is known", async () => {
  const before = await git("rev-parse", "HEAD");
  await commit();
  expect(await run("bash", SCRIPT)).toEqual(comparedWith(before));
});

it("compares a branch with main", async () => {
  const main = await commit();
  await git("checkout", "--quiet", "-b", "branch");
  await commit();
  await commit();
  expect(await run("bash", SCRIPT)).toEqual(comparedWith(main));
});

it("compares with the last release, though main went on", async () => {
  const release = await commit();
  await git("tag", "v1");
  await git("update-ref", "refs/remotes/origin/main", await commit());
  await commit();
  expect(await run("bash", SCRIPT)).toEqual(comparedWith(release));
});

it("compares a release with the commit before, not with itself", async () => {
  const before = await git("rev-parse", "HEAD");
  await commit();
  await git("tag", "v1");
  await git("update-ref", "refs/remotes/origin/main", "HEAD");
  expect(await run("bash", SCRIPT)).toEqual(comparedWith(before));
});
