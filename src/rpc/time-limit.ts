/** A timer that something must beat: armed while it is due, again and again. */
export class TimeLimit {
  readonly #limitMs: number;
  readonly #onPassed: () => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(limitMs: number, onPassed: () => void) {
    this.#limitMs = limitMs;
    this.#onPassed = onPassed;
  }

  /** Starts the time, unless it is running. */
  arm(): void {
    this.#timer ??= setTimeout(this.#onPassed, this.#limitMs);
  }

  /** Starts the time anew. */
  rearm(): void {
    if (this.#timer === undefined) this.arm();
    else this.#timer.refresh();
  }

  disarm(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
