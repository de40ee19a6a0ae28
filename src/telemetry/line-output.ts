/** Writes some of the bytes without waiting and returns how many. Throws EAGAIN if it can write none now. */
export type WriteSome = (bytes: Uint8Array) => number;

/**
 * Writes lines to a file that may be full or broken, or a pipe without a reader. Never waits and never
 * throws. Lines that cannot be written now are kept, up to a limit, and written later; further lines are
 * dropped and counted. A line is written before `write` returns, unless earlier lines are waiting.
 */
export class LineOutput {
  readonly #writeSome: WriteSome;
  #onRecovered: (dropped: number) => void = () => {};
  /** In order. A part of the first line may have been written. */
  readonly #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #isFirstCut = false;
  /** Whether the last line was written in part and its rest was dropped. */
  #isMidLine = false;
  #retryTimer: NodeJS.Timeout | undefined;
  #dropped = 0;
  #unreported = 0;

  constructor(writeSome: WriteSome) {
    this.#writeSome = writeSome;
  }

  /** The number of dropped lines. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Sets the function that is called when lines can be written again, with the number of lines dropped until then. */
  onRecovered(listener: (dropped: number) => void): void {
    this.#onRecovered = listener;
  }

  /** Writes a line, which includes its line end. */
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

  /** Writes as much as can be written now. */
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

/** Some thousand lines: enough for a reader that pauses for a moment. */
export const WAITING_BYTES_MAX = 256 * 1024;
/** Short enough for a reader that continues, and little work if the reader does not. */
const RETRY_INTERVAL_MS = 50;

function isBusy(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "EAGAIN";
}
