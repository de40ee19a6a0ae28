/** Epochs are never reused, so a bounded history is enough. */
const REMEMBERED_MAX = 1000;

/**
 * The epochs that a client has seen. An epoch that comes back after another epoch belongs to a second log.
 * A reply or stream that was requested before the other epoch was seen proves nothing: it is only late.
 */
export class EpochHistory {
  /** By epoch: the number of the change that replaced it. */
  readonly #past = new Map<string, number>();
  #current: string | undefined;
  #changes = 0;

  get current(): string | undefined {
    return this.#current;
  }

  /** Take it when a request is sent; `sees` needs it. */
  get mark(): number {
    return this.#changes;
  }

  /** Records an epoch that something requested at `mark` shows. False: another epoch had replaced it by then. */
  sees(epoch: string, mark: number = this.#changes): boolean {
    if (epoch === this.#current) return true;
    const replacedBy = this.#past.get(epoch);
    if (replacedBy !== undefined) return replacedBy > mark;
    // A late reply may be of an epoch between two that were seen.
    if (mark < this.#changes) return true;
    if (this.#current !== undefined) {
      this.#changes += 1;
      this.#past.set(this.#current, this.#changes);
    }
    this.#current = epoch;
    for (const oldest of this.#past.keys()) {
      if (this.#past.size <= REMEMBERED_MAX) break;
      this.#past.delete(oldest);
    }
    return true;
  }
}
