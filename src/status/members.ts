import { MEMBERS_WAIT_MS, ROWS_MAX } from "./limits.js";
import type { MemberSource, MemberView } from "./sources.js";

/** The members of the log, as they were read for the page. */
export interface MemberList {
  /** Whether other sidecars can follow the log; a log in this process has no members. */
  readonly isShared: boolean;
  readonly members: readonly MemberView[];
  /** There are more than these. */
  readonly hasMore: boolean;
  /** Whether the last reading has not succeeded, or not yet: these are older, or none. */
  readonly isOld: boolean;
}

export interface MembersOptions {
  readonly source: MemberSource;
  readonly isShared: boolean;
  /** How long a list is used before it is read again. */
  readonly maxAgeMs: number;
  /** A monotonic clock in milliseconds. */
  readonly clock: () => number;
  readonly waitMs?: number;
}

/**
 * Reads the members of the log for viewers of the page: they are in the database, so nothing is read without a
 * viewer, and viewers share what was read.
 */
export class Members {
  readonly #options: MembersOptions;
  #list: MemberList;
  #readMs = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | undefined;

  constructor(options: MembersOptions) {
    this.#options = options;
    const { isShared } = options;
    this.#list = { isShared, members: [], hasMore: false, isOld: isShared };
  }

  /** The members. Waits a short time for the log, then returns the last known ones. Never rejects. */
  async list(): Promise<MemberList> {
    const { isShared, clock, maxAgeMs, waitMs = MEMBERS_WAIT_MS } = this.#options;
    if (!isShared || clock() - this.#readMs < maxAgeMs) return this.#list;
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, waitMs).unref();
    });
    await Promise.race([this.#reading, timeout]);
    clearTimeout(timer);
    // The list is replaced only here and in #read, so that an unchanged one stays the same object.
    if (this.#reading !== undefined && !this.#list.isOld) this.#list = { ...this.#list, isOld: true };
    return this.#list;
  }

  async #read(): Promise<void> {
    const { source, isShared, clock } = this.#options;
    try {
      const found = await source.list({ afterId: "", limit: ROWS_MAX + 1 });
      const members = found.slice(0, ROWS_MAX);
      this.#list = { isShared, members, hasMore: found.length > ROWS_MAX, isOld: false };
    } catch {
      // The log reports its own errors.
      this.#list = { ...this.#list, isOld: true };
    }
    this.#readMs = clock();
  }
}
