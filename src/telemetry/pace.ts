/** Does long work in slices, between which others have a turn of the event loop. */
export class Pace {
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

  /** Whether the slice is used up. */
  get isDue(): boolean {
    return this.#clock() >= this.#sliceEndMs;
  }

  /** Ends the slice. */
  async pause(): Promise<void> {
    await new Promise<void>(this.#defer);
    this.#sliceEndMs = this.#clock() + SLICE_MS;
  }
}

/** As long as other background work may take. */
const SLICE_MS = 2;
