import type { LeaseClock } from "./clock.js";
import type { FailureReport } from "./failures/failure-report.js";

/** Whether the log answers and this sidecar holds a live lease, and since when not. */
export class UpState {
  readonly #clock: LeaseClock;
  readonly #report: FailureReport;
  readonly #check: () => boolean;
  #lastUpMs: number;

  constructor(clock: LeaseClock, report: FailureReport, check: () => boolean) {
    this.#clock = clock;
    this.#report = report;
    this.#check = check;
    this.#lastUpMs = clock.nowMs();
  }

  get isUp(): boolean {
    return this.#check();
  }

  /** Whether it has been down for longer than a limit, so that waiting is pointless. */
  isDownFor(limitMs: number): boolean {
    return !this.isUp && this.#clock.nowMs() - this.#lastUpMs > limitMs;
  }

  /** Call after each relevant change, and at intervals. */
  update(): void {
    const { isUp } = this;
    if (isUp) this.#lastUpMs = this.#clock.nowMs();
    this.#report.setUp(isUp);
  }
}
