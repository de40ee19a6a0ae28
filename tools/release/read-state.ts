import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Git, linesOf } from "./git.js";
import type { ReleaseState } from "./refusals.js";
import { type Files, mayHaveVersion } from "./versions.js";

const RELEASE_TAG = /^v\d+\.\d+\.\d+$/;

/** Reads what decides whether the checked out commit can be released. */
export function readState(root: string, git: Git): ReleaseState {
  return {
    head: git(["rev-parse", "HEAD"]),
    branch: git(["branch", "--show-current"]) || undefined,
    uncommitted: linesOf(git(["status", "--porcelain"])).map((line) => line.slice(3)),
    tags: readTags(git),
    earlierTags: linesOf(git(["tag", "--list", "--merged", "HEAD"])).filter((tag) => RELEASE_TAG.test(tag)),
    files: readVersionFiles(root, git),
    changelog: readFileSync(join(root, "CHANGELOG.md"), "utf8"),
    notAsLocked: notAsLocked(root),
  };
}

/** The files that can have a version, as they are in the working tree. */
export function readVersionFiles(root: string, git: Git): Files {
  const paths = linesOf(git(["ls-files"])).filter((path) => mayHaveVersion(path));
  const present = paths.filter((path) => existsSync(join(root, path)));
  return new Map(present.map((path) => [path, readFileSync(join(root, path), "utf8")]));
}

function readTags(git: Git): Map<string, string> {
  // An annotated tag is an object of its own; `^{}` is its commit.
  const names = linesOf(git(["tag", "--list"])).filter((tag) => RELEASE_TAG.test(tag));
  return new Map(names.map((tag) => [tag, git(["rev-parse", `${tag}^{}`])]));
}

interface Lock {
  readonly packages: Readonly<Record<string, { readonly version?: string; readonly integrity?: string }>>;
}

/** The compiler comes from node_modules: another version of it can make other bytes. */
function notAsLocked(root: string): string[] {
  const installed = join(root, "node_modules/.package-lock.json");
  if (!existsSync(installed)) return ["node_modules does not exist"];
  const lockOf = (path: string) => JSON.parse(readFileSync(path, "utf8")) as Lock;
  const { packages } = lockOf(join(root, "package-lock.json"));
  // A workspace is a part of this repository, whose commit says what it is.
  return Object.entries(lockOf(installed).packages)
    .filter(([path]) => path.startsWith("node_modules/"))
    .filter(([path, { version, integrity }]) => {
      const locked = packages[path];
      return locked?.version !== version || locked?.integrity !== integrity;
    })
    .map(([path]) => path);
}
