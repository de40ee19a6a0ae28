import type { LatencySummary } from "./latencies.js";

/** How many mismatches are told in words; the rest are counted. */
const MISMATCHES_TOLD_MAX = 10;

/** What a replay counted. Everything is a count unless its name says otherwise. */
export class ReplayReport {
  /** Lines of the trace by operation. */
  readonly lines = new Tally();
  /** IDs asked for, once per mention. */
  idsRead = 0;
  hits = 0;
  /** Misses of events that the database does not hold either. */
  missesNotStored = 0;
  /** Misses of events that the database holds; each is put after it. */
  missesStored = 0;
  /** Of these, events that had been put and not invalidated since: evicted, expired, or lost. */
  missesLost = 0;
  /** IDs that did not fit into a reply and were asked for again. */
  truncated = 0;
  /** Events put, by outcome. */
  readonly puts = new Tally();
  /** SetRedaction and SetRejected calls by outcome. */
  readonly redactions = new Tally();
  readonly rejections = new Tally();
  /** Event IDs announced by InvalidateEvents, by what changed them. */
  readonly invalidated = new Tally();
  roomsPurged = 0;
  /** Changes announced: the sequence numbers that the replay used up. */
  announcements = 0;
  mismatches = 0;
  /** The first different mismatches in words. */
  readonly mismatchesTold: string[] = [];
  durationMs = 0;
  latencies: ReadonlyMap<string, LatencySummary> = new Map();

  mismatch(what: string): void {
    this.mismatches += 1;
    const told = this.mismatchesTold;
    if (told.length < MISMATCHES_TOLD_MAX && !told.includes(what)) told.push(what);
  }
}

/** Counts by name. */
export class Tally {
  readonly #counts = new Map<string, number>();

  add(name: string, count = 1): void {
    this.#counts.set(name, this.of(name) + count);
  }

  of(name: string): number {
    return this.#counts.get(name) ?? 0;
  }

  get total(): number {
    return [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
  }

  /** The counts as an object, for JSON. */
  toJSON(): Record<string, number> {
    return Object.fromEntries(this.#counts);
  }

  /** `12 stored, 3 fenced`, or `none`. */
  toString(): string {
    return [...this.#counts].map(([name, count]) => `${count} ${name}`).join(", ") || "none";
  }
}
