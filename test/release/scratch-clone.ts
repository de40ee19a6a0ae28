import { execFileSync } from "node:child_process";
import { appendFileSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Git, gitIn } from "../../tools/release/git.js";
import { type ReleaseIo, setVersion } from "../../tools/release/release.js";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** Higher than any release, so that these tests do not depend on what has been released. */
export const VERSION = "999.0.0";
export const NOTES = "### Upgrade notes\n\nNothing to do.\n\n### Fixed\n\n- An example.";

export interface Clone {
  readonly root: string;
  readonly git: Git;
  readonly io: ReleaseIo;
  /** What was printed. */
  readonly printed: string[];
  /** Writes a file and commits it. */
  commit(path: string, text: string): void;
}

/** A clone in which a commit or a tag does no harm, with the packages of this repository. */
export function cloneOf(from: string, root: string, options: readonly string[] = []): Clone {
  execFileSync("git", ["clone", "--quiet", ...options, from, root]);
  return scratch(root);
}

function scratch(root: string): Clone {
  symlinkSync(join(ROOT, "node_modules"), join(root, "node_modules"));
  // .gitignore names a folder; here it is a link.
  appendFileSync(join(root, ".git/info/exclude"), "node_modules\n");
  const git = gitIn(root);
  git(["config", "user.name", "Test"]);
  git(["config", "user.email", "test@localhost"]);
  const printed: string[] = [];
  const io: ReleaseIo = {
    root,
    today: () => new Date("2030-02-03T04:05:06Z"),
    print: (line) => printed.push(line),
    check: () => {},
  };
  const commit = (path: string, text: string) => {
    writeFileSync(join(root, path), text);
    git(["commit", "--quiet", "--all", "--message", "Test"]);
  };
  return { root, git, io, printed, commit };
}

/** A repository whose only commit has some paths of this one's. It has neither its history nor its tags. */
export function newRepository(root: string, paths: readonly string[]): Clone {
  execFileSync("git", ["init", "--quiet", "--initial-branch=main", root]);
  const files = execFileSync("git", ["archive", "HEAD", ...paths], { cwd: ROOT, maxBuffer: 2 ** 26 });
  execFileSync("tar", ["--extract", `--directory=${root}`], { input: files });
  const clone = scratch(root);
  clone.git(["add", "--all"]);
  clone.git(["commit", "--quiet", "--message=Test"]);
  return clone;
}

/** A clone of this repository's commit that can be released as VERSION. */
export function releasableClone(root: string): Clone {
  const clone = cloneOf(ROOT, root);
  clone.git(["switch", "--quiet", "--force-create", "main"]);
  setVersion(clone.io, VERSION);
  clone.commit("CHANGELOG.md", changelogWith(clone, NOTES));
  return clone;
}

/** The clone's changelog with these notes under "Unreleased". */
export function changelogWith({ root }: Clone, notes: string): string {
  const changelog = readFileSync(join(root, "CHANGELOG.md"), "utf8");
  const [before = "", after = ""] = changelog.split("## [Unreleased]\n");
  const next = after.indexOf("\n## ");
  return `${before}## [Unreleased]\n\n${notes}\n${next === -1 ? "" : after.slice(next)}`;
}
