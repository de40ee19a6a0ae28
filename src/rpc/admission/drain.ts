/** Notifies every stream, once, that the server accepts no more calls, because it stops or is drained. */
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

  /** Ends the drain: calls are accepted again. */
  end(): void {
    this.#started = false;
  }

  /** Calls `listener` when the drain starts, unless the returned function was called before. */
  onStart(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
