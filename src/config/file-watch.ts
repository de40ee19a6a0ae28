import { stat } from "node:fs/promises";

export interface FileWatchOptions {
  /** The files, asked before each check: they may change with the contents of another file. */
  paths(): readonly string[];
  /** Called one at a time: after a change, and after `checkNow`. Must not reject. */
  onChange(): Promise<void>;
  readonly intervalMs?: number;
}

/** How soon a change is noticed. */
const INTERVAL_MS = 5000;

/**
 * Notices changes of files by polling. Notifications of the file system miss what Kubernetes does:
 * it replaces a symbolic link to the folder of all files, and none of the watched names changes.
 */
export class FileWatch {
  readonly #options: FileWatchOptions;
  #seen = "";
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #isForced = false;
  #isStopped = false;

  constructor(options: FileWatchOptions) {
    this.#options = options;
  }

  /** Takes the files as they are now for unchanged. Call it before they are read for the first time. */
  async start(): Promise<void> {
    this.#seen = await stateOf(this.#options.paths());
    this.#schedule();
  }

  /** Calls back whether or not a file has changed. */
  checkNow(): void {
    this.#isForced = true;
    void this.#check();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  #schedule(): void {
    if (this.#isStopped) return;
    this.#timer = setTimeout(() => void this.#check(), this.#options.intervalMs ?? INTERVAL_MS).unref();
  }

  async #check(): Promise<void> {
    if (this.#running !== undefined) return this.#running;
    clearTimeout(this.#timer);
    this.#running = this.#compare();
    await this.#running;
    this.#running = undefined;
    if (this.#isForced) await this.#check();
    else this.#schedule();
  }

  async #compare(): Promise<void> {
    const isForced = this.#isForced;
    this.#isForced = false;
    // Before the files are read: a change in between is noticed the next time.
    const state = await stateOf(this.#options.paths());
    const isChanged = state !== this.#seen;
    this.#seen = state;
    if ((isChanged || isForced) && !this.#isStopped) await this.#options.onChange();
  }
}

/** Each file's identity, size and times; of a missing file, that it is missing. */
async function stateOf(paths: readonly string[]): Promise<string> {
  const states = await Promise.all(
    paths.map(async (path) => {
      const found = await stat(path, { bigint: true }).catch(() => undefined);
      if (found === undefined) return "missing";
      return [found.dev, found.ino, found.size, found.mtimeNs, found.ctimeNs, found.mode].join(" ");
    }),
  );
  return paths.map((path, at) => `${path} ${states[at]}`).join("\n");
}
