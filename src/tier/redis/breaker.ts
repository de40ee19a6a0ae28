import { LATE_MAX, PAUSE_MS_MAX, PAUSE_MS_MIN } from "./limits.js";

/**
 * Stops asking a server that does not answer in time. While it is open nobody
 * waits; when a pause is over one probe decides whether the next one begins.
 */
export class Breaker {
  readonly #clock: () => number;
  #isOpen = false;
  #pauseMs = PAUSE_MS_MIN;
  #probeAtMs = 0;
  #lateInRow = 0;
  #isProbing = false;

  constructor(clock: () => number) {
    this.#clock = clock;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Whether the caller is to send a probe; the next one is due after another pause, whatever becomes of it. */
  takesProbe(): boolean {
    const nowMs = this.#clock();
    if (!this.#isOpen || nowMs < this.#probeAtMs) return false;
    this.#probeAtMs = nowMs + this.#pauseMs;
    this.#isProbing = true;
    return true;
  }

  answered(): void {
    this.#isOpen = false;
    this.#isProbing = false;
    this.#lateInRow = 0;
    this.#pauseMs = PAUSE_MS_MIN;
  }

  /** An answer was late, though others arrived meanwhile. */
  late(): void {
    this.#lateInRow += 1;
    if (this.#isOpen || this.#lateInRow > LATE_MAX) this.failed();
  }

  /** Nothing was answered. */
  failed(): void {
    // Of what was sent before it opened.
    if (this.#isOpen && !this.#isProbing) return;
    this.#isProbing = false;
    this.#pauseMs = this.#isOpen ? Math.min(2 * this.#pauseMs, PAUSE_MS_MAX) : PAUSE_MS_MIN;
    this.#isOpen = true;
    this.#probeAtMs = this.#clock() + this.#pauseMs;
  }
}
