/**
 * A time limit for input, armed while input is due. Input that arrived in time counts
 * even if the process was stopped meanwhile (frozen, or short of CPU): Node.js runs due
 * timers before it reads its sockets, so the limit passes only after the sockets were
 * read once more.
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

  /** Starts the timer, unless it is running. */
  arm(): void {
    this.#timer ??= setTimeout(() => {
      this.#lastChance = setImmediate(this.#onPassed);
    }, this.#limitMs);
  }

  /** Restarts the timer. */
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
