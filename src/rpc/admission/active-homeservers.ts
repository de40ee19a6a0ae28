import { HOMESERVER_IDLE_MS } from "../../core/limits.js";

/** Knows whether several homeservers are active, which is when one may take only a share of a capacity. */
export class ActiveHomeservers {
  readonly #clock: () => number;
  #last: string | undefined;
  #severalUntil = Number.NEGATIVE_INFINITY;

  /** `clock` is a monotonic clock in milliseconds. */
  constructor(clock: () => number) {
    this.#clock = clock;
  }

  /** Notes that a homeserver is active; returns whether another one is too, or has not been idle for long. */
  note(homeserver: string): boolean {
    const now = this.#clock();
    if (this.#last !== undefined && this.#last !== homeserver) {
      this.#severalUntil = now + HOMESERVER_IDLE_MS;
    }
    this.#last = homeserver;
    return now < this.#severalUntil;
  }
}
