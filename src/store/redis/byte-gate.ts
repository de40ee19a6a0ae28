/** Lets so many bytes through at a time: who would go beyond waits, in order of arrival, for a bounded time. */
export class ByteGate {
  readonly #bytesMax: number;
  readonly #waitMs: number;
  readonly #waiting: Waiting[] = [];
  #bytes = 0;

  constructor(bytesMax: number, waitMs: number) {
    this.#bytesMax = bytesMax;
    this.#waitMs = waitMs;
  }

  /** Whether there came to be room for these bytes in time; whoever got in must `leave`. */
  async enter(bytes: number): Promise<boolean> {
    if (bytes === 0 || (this.#waiting.length === 0 && this.#bytes + bytes <= this.#bytesMax)) {
      this.#bytes += bytes;
      return true;
    }
    return new Promise((resolve) => {
      const giveUp = () => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        resolve(false);
        // Those behind may be smaller.
        this.#admit();
      };
      const waiting: Waiting = { bytes, resolve, timer: setTimeout(giveUp, this.#waitMs) };
      this.#waiting.push(waiting);
    });
  }

  leave(bytes: number): void {
    this.#bytes -= bytes;
    this.#admit();
  }

  #admit(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (this.#bytes + next.bytes > this.#bytesMax) return;
      this.#waiting.shift();
      clearTimeout(next.timer);
      this.#bytes += next.bytes;
      next.resolve(true);
    }
  }
}

interface Waiting {
  readonly bytes: number;
  readonly resolve: (isIn: boolean) => void;
  readonly timer: NodeJS.Timeout;
}
