import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ReleaseRefused, release } from "../../tools/release/release.js";
import { type Clone, changelogWith, releasableClone, VERSION } from "./scratch-clone.js";

describe("a release is refused, and nothing changes", () => {
  let work: string;
  let clone: Clone;

  beforeEach(() => {
    work = mkdtempSync(join(tmpdir(), "splitcache-test-"));
    clone = releasableClone(join(work, "clone"));
  });

  afterEach(() => {
    rmSync(work, { recursive: true });
  });

  async function refusal(): Promise<string> {
    const before = stateOf(clone);
    const failure = await release(clone.io).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(failure).toBeInstanceOf(ReleaseRefused);
    expect(stateOf(clone)).toEqual(before);
    return (failure as Error).message;
  }

  it("with a change that is not committed and a file that Git does not know", async () => {
    writeFileSync(join(clone.root, "README.md"), "changed");
    writeFileSync(join(clone.root, "new.txt"), "");
    expect(await refusal()).toBe("there are changes that are not committed: README.md, new.txt");
  });

  it("with a version that is tagged", async () => {
    clone.git(["tag", `v${VERSION}`, "HEAD~1"]);
    expect(await refusal()).toBe(
      `${VERSION} is already tagged; set the next version with --set-version X.Y.Z`,
    );
  });

  it("with a version that is older than the last release", async () => {
    clone.git(["tag", "--annotate", "--message=later", "v1000.0.0", "HEAD~1"]);
    expect(await refusal()).toBe(`${VERSION} is older than v1000.0.0`);
  });

  it("without an entry in the changelog", async () => {
    clone.commit("CHANGELOG.md", changelogWith(clone, ""));
    expect(await refusal()).toBe('CHANGELOG.md has no entry under "Unreleased"');
  });

  it("with another version in pyproject.toml", async () => {
    const path = "clients/synapse/pyproject.toml";
    const text = clone.git(["show", `HEAD:${path}`]).replace(`"${VERSION}"`, '"0.0.9"');
    clone.commit(path, text);
    expect(await refusal()).toBe(`${path}: the version is 0.0.9, not ${VERSION} as in package.json`);
  });

  it("without a branch", async () => {
    clone.git(["checkout", "--quiet", "--detach"]);
    expect(await refusal()).toBe("no branch is checked out");
  });

  it("with packages that are not those of the lock file", async () => {
    const path = "package-lock.json";
    const text = clone
      .git(["show", `HEAD:${path}`])
      .replace(/("node_modules\/yaml": \{\s*"version": ")[^"]*/, "$10.0.1");
    clone.commit(path, text);
    expect(await refusal()).toBe(
      "node_modules differs from package-lock.json; run npm ci: node_modules/yaml",
    );
  });
});

describe("a release that fails changes nothing", () => {
  it.each<[string, (clone: Clone) => Clone["io"]]>([
    [
      "in its checks",
      ({ io }) => ({
        ...io,
        check: () => {
          throw new Error("a test failed");
        },
      }),
    ],
    [
      "while it builds",
      ({ io, root, commit }) => {
        commit("buf.yaml", "");
        rmSync(join(root, "LICENSE"));
        commit(".gitattributes", "");
        return io;
      },
    ],
  ])("%s", async (_, ioOf) => {
    const work = mkdtempSync(join(tmpdir(), "splitcache-test-"));
    try {
      const clone = releasableClone(join(work, "clone"));
      const io = ioOf(clone);
      const before = stateOf(clone);
      await expect(release(io)).rejects.toThrow();
      expect(stateOf(clone)).toEqual(before);
    } finally {
      rmSync(work, { recursive: true });
    }
  });
});

/** Branches, tags and files. */
function stateOf({ git }: Clone) {
  return {
    refs: git(["for-each-ref"]),
    head: git(["rev-parse", "HEAD"]),
    status: git(["status", "--porcelain", "--untracked-files=all"]),
  };
}
