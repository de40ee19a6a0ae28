/** What happens to one key's lines at present. */
interface Window {
  admitted: number;
  leftOut: number;
  readonly timer: NodeJS.Timeout;
}

export interface LineLimitOptions {
  /** Lines of one key in a window; the others are left out. */
  readonly linesMax: number;
  /** A window begins with a key's first line. */
  readonly windowMs: number;
  /** Keys with a window at once; beyond it the oldest window ends early. */
  readonly keysMax: number;
  /** Called at the end of each window in which lines were left out. */
  readonly onLeftOut: (key: string, count: number) => void;
}

/** Bounds how much of a log each key may fill: whoever can cause a line can cause it in a loop. */
export class LineLimit {
  readonly #options: LineLimitOptions;
  /** In the order in which they began. */
  readonly #windows = new Map<string, Window>();

  constructor(options: LineLimitOptions) {
    this.#options = options;
  }

  /** Whether a key has a window at present. */
  has(key: string): boolean {
    return this.#windows.has(key);
  }

  /** Whether one more line of this key may be written. */
  admits(key: string): boolean {
    const window = this.#windows.get(key) ?? this.#begin(key);
    const isAdmitted = window.admitted < this.#options.linesMax;
    if (isAdmitted) window.admitted += 1;
    else window.leftOut += 1;
    return isAdmitted;
  }

  #begin(key: string): Window {
    const { windowMs, keysMax } = this.#options;
    const [oldest] = this.#windows.keys();
    if (oldest !== undefined && this.#windows.size >= keysMax) this.#end(oldest);
    // What is left to say keeps no process alive.
    const timer = setTimeout(() => this.#end(key), windowMs).unref();
    const window = { admitted: 0, leftOut: 0, timer };
    this.#windows.set(key, window);
    return window;
  }

  #end(key: string): void {
    const window = this.#windows.get(key);
    this.#windows.delete(key);
    clearTimeout(window?.timer);
    if (window !== undefined && window.leftOut > 0) this.#options.onLeftOut(key, window.leftOut);
  }
}
