import type { DiagLogger } from "@opentelemetry/api";
import { LineLimit } from "../line-limit.js";
import type { Logger } from "../logger.js";

/**
 * Sends what the OpenTelemetry SDK reports to the log. A collector that is down fails every export, so that one
 * problem is logged once in a minute.
 */
export class SdkReports implements DiagLogger {
  readonly #logger: Logger;
  readonly #limit: LineLimit;
  #isStopped = false;
  #showsDebug = false;

  constructor(logger: Logger) {
    this.#logger = logger;
    this.#limit = new LineLimit({
      linesMax: 1,
      windowMs: WINDOW_MS,
      keysMax: PROBLEMS_MAX,
      onSuppressed: (problem, suppressed) =>
        logger.warn("log lines about traces were left out", { problem, suppressed }),
    });
  }

  /** Spans were not exported, and are lost. */
  exportFailed(failure: unknown): void {
    const { message, code } = failure instanceof Error ? (failure as NodeJS.ErrnoException) : {};
    // Several addresses that all refuse make an error without a message.
    const problem = shortened(message || String(code ?? failure));
    if (this.#admits(problem)) this.#logger.warn("spans could not be exported and are lost", { problem });
  }

  /** The process ends before all spans were exported. */
  flushTimedOut(limitMs: number): void {
    this.#logger.warn("the last spans were not exported in time and are lost", { limitMs });
  }

  error(problem: string): void {
    this.#report(problem);
  }

  warn(problem: string): void {
    this.#report(problem);
  }

  debug(problem: string): void {
    if (this.#showsDebug) this.#report(problem);
  }

  info(): void {}

  verbose(): void {}

  /** Reports the debug messages of this work too: the SDK reports some problems only so. */
  withDebug<Result>(work: () => Result): Result {
    this.#showsDebug = true;
    try {
      return work();
    } finally {
      this.#showsDebug = false;
    }
  }

  /** The process ends: later failures are of connections that it has cut. */
  stop(): void {
    this.#isStopped = true;
  }

  #report(text: string): void {
    const problem = shortened(text);
    if (this.#admits(problem)) this.#logger.warn("OpenTelemetry reports a problem", { problem });
  }

  #admits(problem: string): boolean {
    // Numbers in it count something: it is the same problem.
    return !this.#isStopped && this.#limit.admits(problem.replace(/\d+/g, "…"));
  }
}

function shortened(text: string): string {
  return text.slice(0, PROBLEM_LENGTH_MAX);
}

const WINDOW_MS = 60_000;
const PROBLEMS_MAX = 32;
const PROBLEM_LENGTH_MAX = 512;
