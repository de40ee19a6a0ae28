/** Epochs are never reused, so a bounded history is enough. */
const REMEMBERED_MAX = 1000;

/** The epochs that a client has seen. An epoch that comes back after another epoch belongs to a second log. */
export class EpochHistory {
  readonly #past = new Set<string>();
  #current: string | undefined;

  /** Records an epoch; false if another epoch has followed it before. */
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
