/** Tells every stream, once, that the server is about to stop. */
export class Drain {
  readonly #listeners = new Set<() => void>();
  #started = false;

  get started(): boolean {
    return this.#started;
  }

  start(): void {
    if (this.#started) return;
    this.#started = true;
    for (const listener of this.#listeners) listener();
    this.#listeners.clear();
  }

  /** Calls `listener` when the drain starts, unless the returned function was called before. */
  onStart(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
