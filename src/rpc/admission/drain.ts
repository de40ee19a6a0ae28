/** Tells every stream, once, that the server takes no more calls: it is about to stop, or out of service. */
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

  /** Ends the drain: calls are taken again. */
  end(): void {
    this.#started = false;
  }

  /** Calls `listener` when the drain starts, unless the returned function was called before. */
  onStart(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
