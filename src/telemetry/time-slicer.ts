/** Divides long work into short slices, so that other work can run between them. */
export class TimeSlicer {
  readonly #clock: () => number;
  readonly #defer: (run: () => void) => void;
  #sliceEndMs: number;

  /** `clock` is in milliseconds; `defer` runs a function in a later turn of the event loop. */
  constructor(
    clock: () => number = () => performance.now(),
    defer: (run: () => void) => void = (run) => void setImmediate(run),
  ) {
    this.#clock = clock;
    this.#defer = defer;
    this.#sliceEndMs = clock() + SLICE_MS;
  }

  /** Whether the slice has ended, so that `pause` is due. */
  get isDue(): boolean {
    return this.#clock() >= this.#sliceEndMs;
  }

  /** Waits for a later turn of the event loop and starts the next slice. */
  async pause(): Promise<void> {
    await new Promise<void>(this.#defer);
    this.#sliceEndMs = this.#clock() + SLICE_MS;
  }
}

/** As long as a slice of other background work. */
const SLICE_MS = 2;
