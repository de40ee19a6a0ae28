import { closeSync, openSync } from "node:fs";
import { devNull } from "node:os";

/** Opens and closes one file descriptor; replaced in tests. */
export interface DescriptorSource {
  /** Throws EMFILE or ENFILE if there is none left. */
  open(): number;
  close(descriptor: number): void;
}

/** How many probes and scrapes are answered at once while all other descriptors are used up. */
const RESERVE_MAX = 16;
const NONE = "none";
const DESCRIPTORS: DescriptorSource = { open: () => openSync(devNull, "r"), close: closeSync };

/**
 * File descriptors that are reserved for probes. The bounds of all ports stay below
 * the limit of open files, but other code may use up the descriptors. accept() needs
 * a free one: without it libuv silently closes new connections, including connections of
 * probes.
 */
export class DescriptorReserve {
  readonly #source: DescriptorSource;
  readonly #held: number[] = [];

  constructor(source = DESCRIPTORS) {
    this.#source = source;
    this.#fill();
  }

  /** Whether there is a free descriptor beside the reserve. */
  hasFree(): boolean {
    this.#fill();
    const descriptor = this.#tryOpen();
    if (descriptor === undefined) return false;
    if (descriptor !== NONE) this.#source.close(descriptor);
    return true;
  }

  /**
   * Frees one descriptor of the reserve for the next connection; false if none is
   * left. The reserve is refilled as soon as a descriptor is free.
   */
  lend(): boolean {
    const descriptor = this.#held.pop();
    if (descriptor === undefined) return false;
    this.#source.close(descriptor);
    return true;
  }

  /** Closes them all. */
  close(): void {
    for (const descriptor of this.#held.splice(0)) this.#source.close(descriptor);
  }

  #fill(): void {
    while (this.#held.length < RESERVE_MAX) {
      const descriptor = this.#tryOpen();
      if (descriptor === undefined || descriptor === NONE) return;
      this.#held.push(descriptor);
    }
  }

  /** A descriptor; NONE if it failed for another reason than that all are used up; undefined if they are. */
  #tryOpen(): number | typeof NONE | undefined {
    try {
      return this.#source.open();
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EMFILE" || code === "ENFILE") return undefined;
      // Another failure does not concern accept(), so no connection is refused for it.
      return NONE;
    }
  }
}
