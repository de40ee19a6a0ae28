/**
 * Runs tasks side by side, at most `limit` at once. The first failure of a task
 * is thrown by the next `add` or `drain`; the tasks under way end by themselves.
 */
export class TaskPool {
  readonly #limit: number;
  #running = 0;
  #failure: { readonly reason: unknown } | undefined;
  #wake: () => void = () => {};

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Starts a task as soon as there is room for it; the caller awaits the start, one at a time. */
  async add(task: () => Promise<void>): Promise<void> {
    await this.#untilAtMost(this.#limit - 1);
    this.#running += 1;
    task()
      .catch((reason: unknown) => {
        this.#failure ??= { reason };
      })
      .finally(() => {
        this.#running -= 1;
        this.#wake();
      });
  }

  /** Waits until no task is running. */
  async drain(): Promise<void> {
    await this.#untilAtMost(0);
  }

  async #untilAtMost(count: number): Promise<void> {
    while (this.#running > count) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#failure !== undefined) throw this.#failure.reason;
  }
}
