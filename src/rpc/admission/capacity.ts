/** Counts what may be there at once up to a limit. */
export class Capacity {
  readonly #max: number;
  #used = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get used(): number {
    return this.#used;
  }

  /** Takes an amount, or returns false and takes nothing if that is more than is left. */
  take(amount = 1): boolean {
    if (this.#used + amount > this.#max) return false;
    this.#used += amount;
    return true;
  }

  give(amount = 1): void {
    this.#used -= amount;
  }
}
