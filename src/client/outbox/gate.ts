import type { Clock } from "../clock.js";

export const POLL_MS = 1000;
/** R, G, A and T of docs/announcing.md. */
const RELAY_AFTER_MS = 2000;
export const POLL_AGE_MS_MAX = 3000;
const ROW_AGE_MS_MAX = 4000;
export const WRITE_WAIT_MS = 4000;
const EPOCH_SILENCE_MS = 30_000;
export const ROWS_MAX = 10_000;

/** What one poll of the outbox showed. */
export interface Poll {
  /** Just before it was sent. */
  readonly sentAt: number;
  /** IDs; at most one more than ROWS_MAX. */
  readonly rows: readonly string[];
  /** The registered epoch, hexadecimal; empty before the first one. */
  readonly epoch: string;
  /** The generation of the database that answered, and the recorded one. */
  readonly generation: string;
  readonly recordedGeneration: string;
  /** Raised by pollers: `heard` by pollers that have had a reply of the registered epoch. */
  readonly counter: bigint;
  readonly heard: bigint;
}

const NEVER = Number.NEGATIVE_INFINITY;

/**
 * The rules of docs/announcing.md without any I/O: which rows are overdue, whether the cache may be read, and
 * which epoch counts. All times are of the clock of this process.
 */
export class Gate {
  readonly #clock: Clock;
  #epoch = "";
  #epochSince = Number.POSITIVE_INFINITY;
  #heard = -1n;
  #heardSince = Number.POSITIVE_INFINITY;
  #counter = -1n;
  #isOtherDatabase = false;
  /** When the last successful poll was sent. */
  #polledAt = NEVER;
  /** Of each row that it showed: when the last successful poll was sent that did not show it. */
  #absentAt = new Map<string, number>();
  /** Rows that this process has announced in the registered epoch, and when. */
  #announced = new Map<string, number>();
  /** The earliest of `#absentAt` of the rows that are owed: the gate is asked for each lookup. */
  #oldestOwedAt = Number.POSITIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  learn(poll: Poll): void {
    // A poll that was given up may still be answered, after a later one.
    if (poll.sentAt < this.#polledAt) return;
    const now = this.#clock();
    if (poll.epoch !== this.#epoch) {
      // What was announced before went to another log.
      this.#announced.clear();
      this.#epoch = poll.epoch;
      this.#epochSince = now;
      this.#heard = -1n;
    }
    if (poll.heard !== this.#heard) {
      this.#heard = poll.heard;
      this.#heardSince = now;
    }
    if (poll.generation !== poll.recordedGeneration || poll.counter < this.#counter)
      this.#isOtherDatabase = true;
    this.#counter = poll.counter;
    // Beyond the limit these are not all rows: the poll does not count.
    if (poll.rows.length <= ROWS_MAX) {
      const known = this.#absentAt;
      this.#absentAt = new Map(poll.rows.map((row) => [row, known.get(row) ?? this.#polledAt]));
      this.#polledAt = poll.sentAt;
      for (const [row, at] of this.#announced)
        if (!this.#absentAt.has(row) && at <= poll.sentAt) this.#announced.delete(row);
    }
    this.#countOwed();
  }

  /** These announcements were answered OK in this epoch. False: it is not registered, so they do not count. */
  announced(rows: Iterable<string>, epoch: string): boolean {
    if (epoch !== this.#epoch) return false;
    const now = this.#clock();
    for (const row of rows) this.#announced.set(row, now);
    this.#countOwed();
    return true;
  }

  /** Everything was purged because of the other database, and the new epoch registered. */
  purged(): void {
    this.#isOtherDatabase = false;
  }

  /** Whether a lookup may be sent now, and what is kept be used. */
  isOpen(now: number = this.#clock()): boolean {
    return (
      now - this.#polledAt < POLL_AGE_MS_MAX &&
      now - this.#oldestOwedAt < ROW_AGE_MS_MAX &&
      !this.#isOtherDatabase
    );
  }

  /** Whether replies and positions of this epoch may be used. */
  uses(epoch: string): boolean {
    return epoch !== "" && epoch === this.#epoch;
  }

  /**
   * Whether an OK of this epoch, under which the row was deleted, makes a write visible: until then another
   * process may still read in the epoch before.
   */
  counts(epoch: string): boolean {
    return epoch === this.#epoch && this.#clock() - this.#epochSince >= POLL_AGE_MS_MAX;
  }

  /** The rows that this process must relay. */
  overdue(): string[] {
    const now = this.#clock();
    return [...this.#absentAt]
      .filter(([row, at]) => !this.#announced.has(row) && now - at > RELAY_AFTER_MS)
      .map(([row]) => row);
  }

  /** Rows that the last poll showed, although this process has announced them. */
  deletable(): string[] {
    return [...this.#absentAt.keys()].filter((row) => this.#announced.has(row));
  }

  get epoch(): string {
    return this.#epoch;
  }

  get isOtherDatabase(): boolean {
    return this.#isOtherDatabase;
  }

  /** Whether no process has had a reply of the registered epoch for too long. */
  get isEpochSilent(): boolean {
    return this.#epoch !== "" && this.#clock() - this.#heardSince >= EPOCH_SILENCE_MS;
  }

  #countOwed(): void {
    this.#oldestOwedAt = Number.POSITIVE_INFINITY;
    for (const [row, at] of this.#absentAt)
      if (!this.#announced.has(row) && at < this.#oldestOwedAt) this.#oldestOwedAt = at;
  }
}
