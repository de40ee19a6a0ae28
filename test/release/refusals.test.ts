import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { linesOf } from "../../tools/release/git.js";
import { type ReleaseIo, ReleaseRefused, release } from "../../tools/release/release.js";
import { type Clone, changelogWith, releasableClone, VERSION } from "./scratch-clone.js";

describe("a release is refused, and nothing changes", () => {
  const { clone, reset } = useClone();
  afterEach(reset);

  async function refusal(): Promise<string> {
    const before = stateOf(clone());
    const failure = await release(clone().io).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(failure).toBeInstanceOf(ReleaseRefused);
    expect(stateOf(clone())).toEqual(before);
    return (failure as Error).message;
  }

  it("with a change that is not committed and a file that Git does not know", async () => {
    writeFileSync(join(clone().root, "README.md"), "changed");
    writeFileSync(join(clone().root, "new.txt"), "");
    expect(await refusal()).toBe("there are changes that are not committed: README.md, new.txt");
  });

  it("with a version that is tagged", async () => {
    clone().git(["tag", `v${VERSION}`, "HEAD~1"]);
    expect(await refusal()).toBe(
      `${VERSION} is already tagged; set the next version with --set-version X.Y.Z`,
    );
  });

  it("with a version that is older than the last release", async () => {
    clone().git(["tag", "--annotate", "--message=later", "v1000.0.0", "HEAD~1"]);
    expect(await refusal()).toBe(`${VERSION} is older than v1000.0.0`);
  });

  it("without an entry in the changelog", async () => {
    clone().commit("CHANGELOG.md", changelogWith(clone(), ""));
    expect(await refusal()).toBe('CHANGELOG.md has no entry under "Unreleased"');
  });

  it("with another version in pyproject.toml", async () => {
    const path = "clients/synapse/pyproject.toml";
    const text = clone()
      .git(["show", `HEAD:${path}`])
      .replace(`"${VERSION}"`, '"0.0.9"');
    clone().commit(path, text);
    expect(await refusal()).toBe(`${path}: the version is 0.0.9, not ${VERSION} as in package.json`);
  });

  it("without a branch", async () => {
    clone().git(["checkout", "--quiet", "--detach"]);
    expect(await refusal()).toBe("no branch is checked out");
  });

  it("with other packages than the lock file has", async () => {
    const path = "package-lock.json";
    const text = clone()
      .git(["show", `HEAD:${path}`])
      .replace(/("node_modules\/yaml": \{\s*"version": ")[^"]*/, "$10.0.1");
    clone().commit(path, text);
    expect(await refusal()).toBe(
      "node_modules differs from package-lock.json; run npm ci: node_modules/yaml",
    );
  });
});

describe("a release that fails changes nothing", () => {
  const { clone, reset } = useClone();
  afterEach(reset);

  async function failsWith(io: ReleaseIo, message: RegExp): Promise<void> {
    const before = stateOf(clone());
    await expect(release(io)).rejects.toThrow(message);
    expect(stateOf(clone())).toEqual(before);
  }

  it("in its checks", async () => {
    const check = () => {
      throw new Error("a test failed");
    };
    await failsWith({ ...clone().io, check }, /^a test failed$/);
  });

  it("while it builds", async () => {
    clone().git(["rm", "--quiet", "LICENSE"]);
    clone().git(["commit", "--quiet", "--message=Test"]);
    await failsWith(clone().io, /LICENSE/);
  });

  it("because the tag cannot be made: the tag comes before the branch moves", async () => {
    const hook = join(clone().git(["rev-parse", "--absolute-git-dir"]).trim(), "hooks/reference-transaction");
    mkdirSync(dirname(hook), { recursive: true });
    writeFileSync(hook, REFUSES_TAGS, { mode: 0o755 });
    await failsWith(clone().io, /no tags today/);
    rmSync(hook);
  });

  it("because the branch cannot move: its tag is removed again, and the work of another stays", async () => {
    const { git, io } = clone();
    const [before, changelog] = [stateOf(clone()), changelogWith(clone(), "\n### Added\n\n- Meanwhile.\n\n")];
    const check = () => writeFileSync(join(io.root, "CHANGELOG.md"), changelog);
    await expect(release({ ...io, check })).rejects.toThrow(/CHANGELOG\.md/);
    expect(stateOf(clone())).toEqual({ ...before, status: expect.stringMatching(/^ ?M CHANGELOG\.md$/) });
    expect(git(["diff"])).toContain("+- Meanwhile.");
  });
});

/** Git asks it before it changes refs; it fails for a new tag. */
const REFUSES_TAGS = `#!/bin/sh
while read old new ref; do
  case "$1 $ref" in "prepared refs/tags/"*) echo "no tags today" >&2; exit 1 ;; esac
done
`;

/** One clone for a block of tests, and what puts it back to its first state. */
function useClone(): { clone: () => Clone; reset: () => void } {
  let work: string;
  let clone: Clone;
  let start: string;
  beforeAll(() => {
    work = mkdtempSync(join(tmpdir(), "splitcache-test-"));
    clone = releasableClone(join(work, "clone"));
    start = clone.git(["rev-parse", "HEAD"]);
  });
  afterAll(() => {
    rmSync(work, { recursive: true });
  });
  return {
    clone: () => clone,
    reset: () => {
      const { git } = clone;
      git(["checkout", "--quiet", "--force", "-B", "main", start]);
      git(["clean", "--quiet", "-d", "--force"]);
      for (const tag of linesOf(git(["tag", "--list"]))) git(["tag", "--delete", tag]);
    },
  };
}

/** Branches, tags and files. */
function stateOf({ git }: Clone) {
  return {
    refs: git(["for-each-ref"]),
    head: git(["rev-parse", "HEAD"]),
    status: git(["status", "--porcelain", "--untracked-files=all"]),
  };
}
