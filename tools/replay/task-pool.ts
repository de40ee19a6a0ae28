/**
 * Runs tasks concurrently, at most `limit` at the same time. The next `add` or
 * `drain` throws the first failure of a task. Running tasks are not cancelled.
 */
export class TaskPool {
  readonly #limit: number;
  #running = 0;
  #failure: { readonly reason: unknown } | undefined;
  #wake: () => void = () => {};

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Starts a task when fewer than `limit` tasks run. Resolves when it has started; calls must not overlap. */
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
