import type { Counters } from "../model/counters.js";
import type { Position, ResetReason, SubscriptionFrame } from "../model/types.js";
import type { InvalidationLog } from "./invalidation-log.js";

export interface SubscriberHubDeps {
  readonly log: InvalidationLog;
  readonly counters: Counters;
  /** Runs `wake` soon, in a turn of the event loop of its own. */
  readonly defer: (wake: () => void) => void;
  /**
   * Whether the copy of the log is verified as current. A frame must not promise
   * more than a read would. While this is false, nothing is sent; the next `wake`
   * or `tick` checks again.
   */
  readonly mayTell: () => boolean;
  /** A subscription has ended. */
  readonly onClose: () => void;
}

/**
 * The subscribers of one homeserver. Each is only a cursor into the log, without
 * a queue: a slow subscriber takes no memory and delays no other.
 */
export class SubscriberHub {
  readonly #log: InvalidationLog;
  readonly #counters: Counters;
  readonly #defer: (wake: () => void) => void;
  readonly #mayTell: () => boolean;
  readonly #onClose: () => void;
  /** Subscribers that have read everything and wait for more. */
  #waiting = new Set<() => void>();
  #wakePending = false;
  #ticks = 0;
  #count = 0;

  constructor({ log, counters, defer, mayTell, onClose }: SubscriberHubDeps) {
    this.#log = log;
    this.#counters = counters;
    this.#defer = defer;
    this.#mayTell = mayTell;
    this.#onClose = onClose;
  }

  get count(): number {
    return this.#count;
  }

  /** Makes waiting subscribers check the log, once for all changes of this turn of the event loop. */
  wake(): void {
    if (this.#wakePending || this.#waiting.size === 0) return;
    this.#wakePending = true;
    this.#defer(() => {
      this.#wakePending = false;
      this.#wakeAll();
    });
  }

  /** Makes a Progress frame due for every subscriber. Called once per progress interval. */
  tick(): void {
    this.#ticks += 1;
    this.#wakeAll();
  }

  /**
   * Opens a subscription. It is registered and gets its cursor in one synchronous
   * step; its frames are created when they are requested.
   */
  open(resumeAfter: Position | undefined, signal: AbortSignal): AsyncGenerator<SubscriptionFrame, void> {
    this.#count += 1;
    const refused = resumeAfter === undefined ? undefined : this.#log.resume(resumeAfter);
    const start = resumeAfter === undefined || refused !== undefined ? this.#log.position : resumeAfter;
    const first: SubscriptionFrame =
      refused === undefined
        ? { kind: "ready", position: start, resumed: resumeAfter !== undefined }
        : this.#reset(start, refused);
    let open = true;
    const close = (): void => {
      if (!open) return;
      open = false;
      this.#count -= 1;
      this.#onClose();
    };
    // A consumer that never requests a frame must not stay registered.
    signal.addEventListener("abort", close, { once: true });
    if (signal.aborted) close();
    return this.#frames(first, start, signal, () => {
      signal.removeEventListener("abort", close);
      close();
    });
  }

  async *#frames(
    first: SubscriptionFrame,
    start: Position,
    signal: AbortSignal,
    close: () => void,
  ): AsyncGenerator<SubscriptionFrame, void> {
    try {
      let cursor = start;
      let ticks = this.#ticks;
      yield first;
      while (!signal.aborted) {
        const mayTell = this.#mayTell();
        const frame = mayTell ? this.#next(cursor) : undefined;
        if (frame !== undefined) {
          cursor = frame.kind === "batch" ? frame.to : frame.position;
          yield frame;
        } else if (mayTell && ticks !== this.#ticks) {
          ticks = this.#ticks;
          yield { kind: "progress", position: cursor };
        } else {
          await this.#wait(signal);
        }
      }
    } finally {
      close();
    }
  }

  #next(cursor: Position): Exclude<SubscriptionFrame, { kind: "ready" | "progress" }> | undefined {
    const refused = this.#log.resume(cursor);
    if (refused === undefined) return this.#log.readAfter(cursor);
    return this.#reset(this.#log.position, refused);
  }

  #reset(position: Position, reason: ResetReason): Extract<SubscriptionFrame, { kind: "reset" }> {
    this.#counters.resets[reason] += 1;
    return { kind: "reset", position, reason };
  }

  #wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        signal.removeEventListener("abort", done);
        this.#waiting.delete(done);
        resolve();
      };
      this.#waiting.add(done);
      signal.addEventListener("abort", done, { once: true });
    });
  }

  #wakeAll(): void {
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const wake of waiting) wake();
  }
}
