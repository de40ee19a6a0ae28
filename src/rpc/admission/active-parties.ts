import { HOMESERVER_IDLE_MS } from "../../core/model/limits.js";

/**
 * Knows whether several parties of one kind, homeservers or peer addresses, are
 * active, which is when one may take only a share of a capacity.
 */
export class ActiveParties {
  readonly #clock: () => number;
  #last: string | undefined;
  #severalUntil = Number.NEGATIVE_INFINITY;

  /** `clock` is a monotonic clock in milliseconds. */
  constructor(clock: () => number) {
    this.#clock = clock;
  }

  /** Notes that a party is active; returns whether another one is too, or has not been idle for long. */
  note(party: string): boolean {
    const now = this.#clock();
    if (this.#last !== undefined && this.#last !== party) {
      this.#severalUntil = now + HOMESERVER_IDLE_MS;
    }
    this.#last = party;
    return now < this.#severalUntil;
  }
}
