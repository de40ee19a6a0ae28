/** Epochs are never reused, so old ones need not be remembered for long. */
const REMEMBERED_MAX = 1000;

/** The epochs that a client has seen: one that comes back after another one belongs to a second store. */
export class EpochHistory {
  readonly #past = new Set<string>();
  #current: string | undefined;

  /** Notes an epoch; false if it was left before. */
  sees(epoch: string): boolean {
    if (epoch === this.#current) return true;
    if (this.#past.has(epoch)) return false;
    if (this.#current !== undefined) this.#past.add(this.#current);
    this.#current = epoch;
    for (const oldest of this.#past) {
      if (this.#past.size <= REMEMBERED_MAX) break;
      this.#past.delete(oldest);
    }
    return true;
  }
}
