import { mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FileWatch, type FileWatchOptions } from "../../../src/config/file-watch.js";
import { eventually } from "../../support/eventually.js";

let folder = "";
const watches: FileWatch[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "splitcache-watch-"));
});
afterEach(async () => {
  for (const watch of watches.splice(0)) watch.stop();
  await rm(folder, { recursive: true });
});

async function watching(path: string, onChange: FileWatchOptions["onChange"], intervalMs = 10) {
  const watch = new FileWatch({ paths: () => [path], onChange, intervalMs });
  watches.push(watch);
  await watch.start();
  return watch;
}

describe("FileWatch", () => {
  it("notices a link to a folder that was replaced, as Kubernetes does", async () => {
    for (const name of ["1", "2"]) await writeFile(join(folder, name), name);
    await symlink("1", join(folder, "data"));
    await symlink("data", join(folder, "file"));
    let changes = 0;
    await watching(join(folder, "file"), async () => {
      changes += 1;
      return true;
    });
    await symlink("2", join(folder, "next"));
    await rename(join(folder, "next"), join(folder, "data"));
    await eventually(() => expect(changes).toBe(1));
  });

  it("calls back at each interval after a failure, also a thrown one, until it succeeds", async () => {
    const retries: boolean[] = [];
    const watch = await watching(join(folder, "none"), async (isRetry) => {
      retries.push(isRetry);
      if (retries.length === 2) throw new Error("out of file descriptors");
      return retries.length === 4;
    });
    watch.checkNow();
    await eventually(() => expect(retries).toHaveLength(4));
    watch.checkNow();
    await eventually(() => expect(retries).toEqual([false, true, true, true, false]));
  });

  it("calls back once more for a check that was asked for while another one runs", async () => {
    let calls = 0;
    let proceed = () => {};
    const released = new Promise<void>((resolve) => {
      proceed = resolve;
    });
    const watch = await watching(
      join(folder, "none"),
      async () => {
        calls += 1;
        await released;
        return true;
      },
      3_600_000,
    );
    watch.checkNow();
    await eventually(() => expect(calls).toBe(1));
    watch.checkNow();
    watch.checkNow();
    proceed();
    await eventually(() => expect(calls).toBe(2));
  });
});
