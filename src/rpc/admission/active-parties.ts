import { HOMESERVER_IDLE_MS } from "../../core/model/limits.js";

/**
 * Tracks whether several parties of one kind, homeservers or peer addresses, are
 * active. If so, each may use only its share of a capacity.
 */
export class ActiveParties {
  readonly #clock: () => number;
  #last: string | undefined;
  #severalUntil = Number.NEGATIVE_INFINITY;

  /** `clock` is a monotonic clock in milliseconds. */
  constructor(clock: () => number) {
    this.#clock = clock;
  }

  /** Records that a party is active. Returns whether another party is active or was recently. */
  note(party: string): boolean {
    const now = this.#clock();
    if (this.#last !== undefined && this.#last !== party) {
      this.#severalUntil = now + HOMESERVER_IDLE_MS;
    }
    this.#last = party;
    return now < this.#severalUntil;
  }
}
