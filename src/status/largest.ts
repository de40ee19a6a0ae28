interface Scored<Item> {
  readonly item: Item;
  readonly score: number;
}

/** Keeps the items with the largest scores, in memory for twice as many as are kept. */
export class Largest<Item> {
  readonly #max: number;
  #kept: Scored<Item>[] = [];
  #leastKept = Number.NEGATIVE_INFINITY;

  constructor(max: number) {
    this.#max = max;
  }

  add(item: Item, score: number): void {
    if (score <= this.#leastKept) return;
    this.#kept.push({ item, score });
    if (this.#kept.length >= 2 * this.#max) this.#cut();
  }

  /** In descending order of scores; of equal scores the first come first. */
  items(): Item[] {
    this.#cut();
    return this.#kept.map(({ item }) => item);
  }

  #cut(): void {
    this.#kept.sort((one, other) => other.score - one.score);
    if (this.#kept.length < this.#max) return;
    this.#kept.length = this.#max;
    this.#leastKept = this.#kept.at(-1)!.score;
  }
}
