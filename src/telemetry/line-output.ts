/** Writes some of the bytes and returns how many, without waiting; throws EAGAIN if it can write none now. */
export type WriteSome = (bytes: Uint8Array) => number;

/**
 * Writes lines to a file that may be full, broken, or a pipe that nobody reads. Never waits and never
 * throws: what cannot be written now is kept, up to a bound, and tried again; the rest is dropped and
 * counted. A line is written before `write` returns, unless others wait already.
 */
export class LineOutput {
  readonly #writeSome: WriteSome;
  #onRecovered: (dropped: number) => void = () => {};
  /** In order; of the first, some may have been written. */
  readonly #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #isFirstCut = false;
  /** The last line was written in part, and its rest was dropped. */
  #isMidLine = false;
  #retryTimer: NodeJS.Timeout | undefined;
  #dropped = 0;
  #unreported = 0;

  constructor(writeSome: WriteSome) {
    this.#writeSome = writeSome;
  }

  /** Lines that were dropped. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Sets what is called when lines can be written again, with how many were dropped until then. */
  onRecovered(listener: (dropped: number) => void): void {
    this.#onRecovered = listener;
  }

  /** Takes a line with its line end. */
  write(line: string): void {
    const bytes = Buffer.from(this.#isMidLine ? `\n${line}` : line);
    const isWaiting = this.#waiting.length > 0;
    if (isWaiting && this.#waitingBytes + bytes.byteLength > WAITING_BYTES_MAX) {
      this.#drop(1);
      return;
    }
    this.#isMidLine = false;
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.byteLength;
    if (!isWaiting) this.flush();
  }

  /** Writes what can be written now. */
  flush(): void {
    clearTimeout(this.#retryTimer);
    try {
      for (let bytes = this.#waiting[0]; bytes !== undefined; bytes = this.#waiting[0]) {
        const written = this.#writeSome(bytes);
        this.#waitingBytes -= written;
        this.#isFirstCut = written < bytes.byteLength;
        if (this.#isFirstCut) this.#waiting[0] = bytes.subarray(written);
        else this.#waiting.shift();
      }
    } catch (error) {
      if (isBusy(error)) this.#retryTimer = setTimeout(() => this.flush(), RETRY_INTERVAL_MS).unref();
      else this.#dropWaiting();
      return;
    }
    const dropped = this.#unreported;
    this.#unreported = 0;
    if (dropped > 0) this.#onRecovered(dropped);
  }

  #dropWaiting(): void {
    this.#isMidLine = this.#isFirstCut;
    this.#isFirstCut = false;
    this.#drop(this.#waiting.length);
    this.#waiting.length = 0;
    this.#waitingBytes = 0;
  }

  #drop(lines: number): void {
    this.#dropped += lines;
    this.#unreported += lines;
  }
}

/** Some thousand lines: what a reader that pauses for a moment may miss. */
export const WAITING_BYTES_MAX = 256 * 1024;
/** Soon enough for a reader that goes on, and no work to speak of for one that does not. */
const RETRY_INTERVAL_MS = 50;

function isBusy(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "EAGAIN";
}
