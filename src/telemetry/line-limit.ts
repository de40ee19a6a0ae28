/** The counts of one key's current window. */
interface Window {
  admitted: number;
  suppressed: number;
  readonly timer: NodeJS.Timeout;
}

export interface LineLimitOptions {
  /** Lines of one key that are admitted in a window; further lines are suppressed. */
  readonly linesMax: number;
  /** A window begins with a key's first line. */
  readonly windowMs: number;
  /** Keys that may have a window at the same time. Beyond it the oldest window ends early. */
  readonly keysMax: number;
  /** Called at the end of each window in which lines were suppressed. */
  readonly onSuppressed: (key: string, count: number) => void;
}

/** Bounds the number of log lines of each key: a client that can cause a line can cause it in a loop. */
export class LineLimit {
  readonly #options: LineLimitOptions;
  /** In the order in which they started. */
  readonly #windows = new Map<string, Window>();

  constructor(options: LineLimitOptions) {
    this.#options = options;
  }

  /** Whether a key has a window now. */
  has(key: string): boolean {
    return this.#windows.has(key);
  }

  /** Whether one more line of this key may be written. */
  admits(key: string): boolean {
    const window = this.#windows.get(key) ?? this.#begin(key);
    const isAdmitted = window.admitted < this.#options.linesMax;
    if (isAdmitted) window.admitted += 1;
    else window.suppressed += 1;
    return isAdmitted;
  }

  #begin(key: string): Window {
    const { windowMs, keysMax } = this.#options;
    const [oldest] = this.#windows.keys();
    if (oldest !== undefined && this.#windows.size >= keysMax) this.#end(oldest);
    // A pending report must not keep the process alive.
    const timer = setTimeout(() => this.#end(key), windowMs).unref();
    const window = { admitted: 0, suppressed: 0, timer };
    this.#windows.set(key, window);
    return window;
  }

  #end(key: string): void {
    const window = this.#windows.get(key);
    this.#windows.delete(key);
    clearTimeout(window?.timer);
    if (window !== undefined && window.suppressed > 0) this.#options.onSuppressed(key, window.suppressed);
  }
}
