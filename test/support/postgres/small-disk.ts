import { execFile } from "node:child_process";
import { open, rm } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const BLOCK_BYTES = 1024 * 1024;

/** A folder that is a disk of its own, in memory, so that a test can fill it. */
export class SmallDisk {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Undefined where this process may not mount anything. */
  static async mount(folder: string, megabytes: number): Promise<SmallDisk | undefined> {
    if (userInfo().uid !== 0) return undefined;
    try {
      await run("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m`, "splitcache-test", folder]);
      return new SmallDisk(folder);
    } catch {
      return undefined;
    }
  }

  /** Leaves no room at all. */
  async fill(): Promise<void> {
    const file = await open(this.#filler, "w");
    try {
      for (let bytes = BLOCK_BYTES; bytes > 0; ) {
        const isWritten = await file.write(Buffer.alloc(bytes)).then(
          ({ bytesWritten }) => bytesWritten === bytes,
          () => false,
        );
        if (!isWritten) bytes >>= 1;
      }
    } finally {
      await file.close();
    }
  }

  async free(): Promise<void> {
    await rm(this.#filler, { force: true });
  }

  async unmount(): Promise<void> {
    await run("umount", ["-l", this.#folder]);
  }

  get #filler(): string {
    return join(this.#folder, "filler");
  }
}
