import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { gitIn } from "../../tools/release/git.js";
import { readVersionFiles } from "../../tools/release/read-state.js";
import { versionErrors } from "../../tools/release/versions.js";
import {
  deadExports,
  deadFiles,
  LINES_MAX,
  longFiles,
  processUses,
  registryHosts,
  unknownPaths,
  unknownScripts,
  upwardLogImports,
} from "./checks.js";
import { exists, readTree, type Tree } from "./tree.js";
import { bannedWords } from "./words.js";

describe("the repository", () => {
  const tree = readTree();

  it(`has no file of code with more than ${LINES_MAX} lines`, () => {
    expect(longFiles(tree)).toEqual([]);
  });

  it("has imports between the rooms of the PostgreSQL log that point down only", () => {
    expect(upwardLogImports(tree)).toEqual([]);
  });

  it("has no source file that nothing imports", () => {
    expect(deadFiles(tree)).toEqual([]);
  });

  it("has no export that nothing uses", () => {
    expect(deadExports(tree)).toEqual([]);
  });

  it("uses the process in main.ts and process/ alone", () => {
    expect(processUses(tree)).toEqual([]);
  });

  it("has the npm scripts that its documents name", () => {
    expect(unknownScripts(tree)).toEqual([]);
  });

  it("has the files and folders that its documents name", () => {
    expect(unknownPaths(tree, exists)).toEqual([]);
  });

  it("names no package registry", () => {
    expect(registryHosts(tree)).toEqual([]);
  });

  it("has the text that each mutant of the log breaks", () => {
    const { status, stderr } = spawnSync("node", ["scripts/mutate-log.mjs", "--check"], { encoding: "utf8" });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  });

  it("has one version, from package.json", () => {
    const root = join(import.meta.dirname, "../..");
    expect(versionErrors(readVersionFiles(root, gitIn(root)))).toEqual([]);
  });

  it("does without the words on the list", () => {
    expect(bannedWords(tree)).toEqual([]);
  });
});

describe("each check finds what it is for", () => {
  const treeOf = (files: Record<string, string>): Tree => new Map(Object.entries(files));
  const packageJson = JSON.stringify({ scripts: { test: "" } });

  it.each<[string, (tree: Tree) => string[], Record<string, string>, string[]]>([
    [
      "a long file",
      longFiles,
      { "src/a.ts": "x\n".repeat(251), "src/b.ts": "x\n".repeat(250) },
      ["src/a.ts"],
    ],
    [
      "an upward import",
      upwardLogImports,
      { "src/log/postgres/codec/a.ts": 'import "x"; from "../append/b.js"; from "../postgres-limits.js";' },
      ["src/log/postgres/codec/a.ts: append"],
    ],
    [
      "a dead file",
      deadFiles,
      { "src/main.ts": 'import "./a.js";', "src/a.ts": "", "src/b.ts": "" },
      ["src/b.ts"],
    ],
    [
      "a dead export",
      deadExports,
      { "src/a.ts": "export const used = 1;\nexport const unused = 2;", "src/b.ts": "used" },
      ["src/a.ts: unused"],
    ],
    [
      "the process",
      processUses,
      { "src/a.ts": "process.exit(1)", "src/b.ts": "// process.exit(1)", "src/main.ts": "process.exit(1)" },
      ["src/a.ts"],
    ],
    [
      "an unknown script",
      unknownScripts,
      { "package.json": packageJson, "a.md": "`npm run test`, `npm run nothing`" },
      ["a.md: nothing"],
    ],
    [
      "an unknown path",
      (tree) => unknownPaths(tree, (path) => path === "src/a.ts"),
      { "docs/a.md": "`src/a.ts`, `src/b.ts`, [a](../src/a.ts), [c](c.md)" },
      ["docs/a.md: src/b.ts", "docs/a.md: c.md"],
    ],
    ["a registry", registryHosts, { "a.json": `https://${["npmjs", "org"].join(".")}/x` }, ["a.json"]],
    [
      "a word",
      bannedWords,
      { "docs/a.md": "fine\nit starts afresh" },
      ["docs/a.md:2: afresh (use again, new)"],
    ],
  ])("%s", (_, check, files, found) => {
    expect(check(treeOf(files))).toEqual(found);
  });
});
