import type { ByteRange } from "../model/types.js";

/**
 * Lends ranges of the slab for the time of one synchronous call. Afterwards
 * reading one throws: by then its memory may hold other bytes, and the entry may
 * have changed.
 */
export class Loan {
  #isOver = false;

  get isOver(): boolean {
    return this.#isOver;
  }

  lend(range: ByteRange): ByteRange {
    return new LentRange(this, range);
  }

  end(): void {
    this.#isOver = true;
  }
}

class LentRange implements ByteRange {
  readonly start: number;
  readonly end: number;
  readonly #loan: Loan;
  readonly #range: ByteRange;

  constructor(loan: Loan, range: ByteRange) {
    this.start = range.start;
    this.end = range.end;
    this.#loan = loan;
    this.#range = range;
  }

  get bytes(): Buffer {
    if (this.#loan.isOver) throw new Error("bytes of a lookup were read after it had ended");
    return this.#range.bytes;
  }
}
