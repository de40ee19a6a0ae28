import { EPISODE_MS } from "../postgres-limits.js";
import { causeOf, describeFailure, FAILURE_CAUSES, type FailureCause } from "./failures.js";

/** Receives the log's reports for the operator. */
export interface PostgresLogEvents {
  /** A series of failures with one cause begins; further ones are only counted. */
  failed(cause: FailureCause, message: string): void;
  /** The log became available: it answers, and this sidecar holds a lease. */
  up(): void;
  /** The log became unavailable. */
  down(): void;
}

/** Counts failures, and reports the first of each series. */
export class FailureReport {
  readonly #events: PostgresLogEvents;
  readonly #target: string;
  readonly #nowMs: () => number;
  readonly #counts = Object.fromEntries(FAILURE_CAUSES.map((cause) => [cause, 0])) as Record<
    FailureCause,
    number
  >;
  readonly #lastMs = new Map<FailureCause, number>();
  #isUp: boolean | undefined;
  #isClosed = false;

  constructor(events: PostgresLogEvents, target: string, nowMs: () => number) {
    this.#events = events;
    this.#target = target;
    this.#nowMs = nowMs;
  }

  get counts(): Readonly<Record<FailureCause, number>> {
    return this.#counts;
  }

  failed(error: unknown): FailureCause {
    const cause = causeOf(error);
    if (this.#isClosed) return cause;
    this.#counts[cause] += 1;
    const nowMs = this.#nowMs();
    const lastMs = this.#lastMs.get(cause);
    this.#lastMs.set(cause, nowMs);
    if (lastMs === undefined || nowMs - lastMs > EPISODE_MS) {
      this.#events.failed(cause, describeFailure(cause, error, this.#target));
    }
    return cause;
  }

  setUp(isUp: boolean): void {
    if (this.#isClosed || isUp === (this.#isUp ?? false)) return;
    this.#isUp = isUp;
    if (isUp) this.#events.up();
    else this.#events.down();
  }

  /** Failures during the shutdown are not counted. */
  close(): void {
    this.#isClosed = true;
  }
}
