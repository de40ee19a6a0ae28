import { LATE_MAX, PAUSE_MS_MAX, PAUSE_MS_MIN, READ_MS_MAX } from "./limits.js";

/**
 * Stops reads from a server that does not answer in time. While it is open no read
 * waits. After a pause one probe decides whether the breaker closes or the next
 * pause begins.
 */
export class Breaker {
  readonly #clock: () => number;
  #isOpen = false;
  #pauseMs = PAUSE_MS_MIN;
  #probeAtMs = 0;
  #lateInRow = 0;
  #lateMs = Number.NEGATIVE_INFINITY;
  #isProbing = false;

  constructor(clock: () => number) {
    this.#clock = clock;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Whether the caller must send a probe. The next one is due after another pause, regardless of the result. */
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

  /** A read was late, while others were answered. Reads that are late together count once. */
  late(): void {
    const nowMs = this.#clock();
    if (nowMs - this.#lateMs < READ_MS_MAX) return;
    this.#lateMs = nowMs;
    this.#lateInRow += 1;
    if (this.#isOpen || this.#lateInRow > LATE_MAX) this.failed();
  }

  /** No command was answered. */
  failed(): void {
    // The reply to a command from before it opened.
    if (this.#isOpen && !this.#isProbing) return;
    this.#isProbing = false;
    this.#pauseMs = this.#isOpen ? Math.min(2 * this.#pauseMs, PAUSE_MS_MAX) : PAUSE_MS_MIN;
    this.#isOpen = true;
    this.#probeAtMs = this.#clock() + this.#pauseMs;
  }
}
