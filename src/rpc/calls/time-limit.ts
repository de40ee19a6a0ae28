/**
 * A timer that something must beat: armed while it is due, again and again. What had
 * come in time beats it even if the process stood still meanwhile (it was short of CPU,
 * or frozen): Node.js runs timers that are due before it reads its sockets, so the
 * limit passes only when these have been read once more.
 */
export class TimeLimit {
  readonly #limitMs: number;
  readonly #onPassed: () => void;
  #timer: NodeJS.Timeout | undefined;
  #lastChance: NodeJS.Immediate | undefined;

  constructor(limitMs: number, onPassed: () => void) {
    this.#limitMs = limitMs;
    this.#onPassed = onPassed;
  }

  /** Starts the time, unless it is running. */
  arm(): void {
    this.#timer ??= setTimeout(() => {
      this.#lastChance = setImmediate(this.#onPassed);
    }, this.#limitMs);
  }

  /** Starts the time anew. */
  rearm(): void {
    clearImmediate(this.#lastChance);
    if (this.#timer === undefined) this.arm();
    else this.#timer.refresh();
  }

  disarm(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#lastChance);
    this.#timer = undefined;
  }
}
