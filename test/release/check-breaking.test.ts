import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Clone, cloneOf, newRepository, ROOT } from "./scratch-clone.js";

const PROTO = "proto/splitcache/v1/event_cache_service.proto";

describe("check-breaking compares the contract", () => {
  let work: string;
  let clone: Clone;

  beforeEach(() => {
    work = mkdtempSync(join(tmpdir(), "splitcache-test-"));
    clone = newRepository(join(work, "clone"), ["buf.yaml", "proto", "scripts/check-breaking.sh"]);
    commentOn();
    commentOn();
  });

  afterEach(() => {
    rmSync(work, { recursive: true });
  });

  /** Exit code and output in a repository. */
  function check(root = clone.root): [number | null, string] {
    const { status, stdout, stderr } = spawnSync("bash", ["scripts/check-breaking.sh"], {
      cwd: root,
      encoding: "utf8",
    });
    return [status, stdout + stderr];
  }

  const commitOf = (name: string) => clone.git(["rev-parse", `${name}^{commit}`]);
  const tag = (name: string) => clone.git(["tag", "--annotate", "--message=Test", name]);

  function change(from: string | RegExp, to: string): void {
    const text = readFileSync(join(clone.root, PROTO), "utf8");
    expect(text).toMatch(from);
    clone.commit(PROTO, text.replace(from, to));
  }
  const breakIt = () => change("bytes epoch = 1;", "string epoch = 1;");
  const commentOn = () => change(/$/, "// A comment.\n");

  it("with the commit before HEAD while there is no release", () => {
    clone.git(["tag", "v1.0.0-rc.1", "HEAD~2"]);
    clone.git(["tag", "latest", "HEAD~2"]);
    commentOn();
    expect(check()).toEqual([
      0,
      expect.stringContaining(`HEAD~1 (there is no release tag), commit ${commitOf("HEAD~1")}`),
    ]);
    breakIt();
    expect(check()).toEqual([100, expect.stringContaining("epoch")]);
  });

  it("with the newest release, also if the breaking commit is not the last one", () => {
    tag("v0.9.0");
    breakIt();
    tag("v0.10.0");
    commentOn();
    expect(check()).toEqual([
      0,
      expect.stringContaining(`the release v0.10.0, commit ${commitOf("v0.10.0")}`),
    ]);
    clone.git(["tag", "--delete", "v0.10.0"]);
    expect(check()).toEqual([
      100,
      expect.stringContaining(`the release v0.9.0, commit ${commitOf("v0.9.0")}`),
    ]);
  });

  it("with the release before HEAD, if HEAD is a release or another branch has a newer one", () => {
    tag("v0.9.0");
    clone.git(["switch", "--quiet", "--create", "other"]);
    breakIt();
    tag("v1.0.0");
    clone.git(["switch", "--quiet", "main"]);
    commentOn();
    tag("v0.9.1");
    expect(check()).toEqual([0, expect.stringContaining("the release v0.9.0")]);
  });

  it("in a worktree, whose .git is a file", () => {
    tag("v0.9.0");
    breakIt();
    const worktree = join(work, "worktree");
    clone.git(["worktree", "add", "--quiet", "--detach", worktree]);
    const linked = spawnSync("ln", ["-s", join(ROOT, "node_modules"), worktree]);
    expect(linked.status).toBe(0);
    expect(check(worktree)).toEqual([100, expect.stringContaining("the release v0.9.0")]);
  });

  it("in a shallow clone with what there is, and says so", () => {
    tag("v0.9.0");
    commentOn();
    breakIt();
    const shallow = cloneOf(`file://${clone.root}`, join(work, "shallow"), ["--depth=1", "--no-tags"]);
    expect(check(shallow.root)).toEqual([0, expect.stringContaining("nothing is compared: a shallow clone")]);
    shallow.git(["fetch", "--quiet", "--depth=2", "--no-tags"]);
    expect(check(shallow.root)).toEqual([
      100,
      expect.stringContaining("HEAD~1 (a shallow clone without release tags"),
    ]);
    shallow.git(["fetch", "--quiet", "--depth=1", "--tags"]);
    expect(check(shallow.root)).toEqual([100, expect.stringContaining("the release v0.9.0")]);
  });
});
