import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** The text files of the repository, by path. */
export type Tree = ReadonlyMap<string, string>;

const ROOT = join(import.meta.dirname, "../..");
const TEXT = /\.(ts|mjs|sh|py|md|json|ya?ml|proto|toml)$|(^|\/)(Dockerfile|run)$/;
const NOT_WRITTEN_HERE = /^(src\/gen\/|third_party\/|proto\/google\/|package-lock\.json|.*\/gen\/)/;

/** The files that Git knows and that are written by hand. */
export function readTree(): Tree {
  const listed = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
    cwd: ROOT,
    encoding: "utf8",
    maxBuffer: 2 ** 24,
  });
  const paths = listed.split("\n").filter((path) => TEXT.test(path) && !NOT_WRITTEN_HERE.test(path));
  const present = paths.filter((path) => existsSync(join(ROOT, path)));
  return new Map(present.map((path) => [path, readFileSync(join(ROOT, path), "utf8")]));
}

/** Whether a path that a document names exists, as a file or a folder. */
export function exists(path: string): boolean {
  return existsSync(join(ROOT, path));
}
