import type { LatencySummary } from "./latencies.js";

/** Mismatches that are described; further mismatches are only counted. */
const DESCRIPTIONS_MAX = 10;

/** The counts of a replay. */
export class ReplayReport {
  /** Lines of the trace by operation. */
  readonly lines = new Tally();
  /** Requested IDs. An ID that is requested twice is counted twice. */
  idsRead = 0;
  hits = 0;
  /** Misses of events that are not in the database either. */
  missesNotStored = 0;
  /** Misses of events that are in the database. The replay puts each of them. */
  missesStored = 0;
  /** The part of these that had been put and not invalidated since: evicted, expired or lost. */
  missesLost = 0;
  /** IDs that did not fit into a reply and were requested again. */
  truncated = 0;
  /** Events put, by outcome. */
  readonly puts = new Tally();
  /** SetRedaction and SetRejected calls by outcome. */
  readonly redactions = new Tally();
  readonly rejections = new Tally();
  /** Event IDs announced by InvalidateEvents, by cause. */
  readonly invalidated = new Tally();
  roomsPurged = 0;
  /** Announced changes. Each uses one sequence number. */
  announcements = 0;
  mismatches = 0;
  /** Descriptions of the first distinct mismatches. */
  readonly mismatchDescriptions: string[] = [];
  durationMs = 0;
  latencies: ReadonlyMap<string, LatencySummary> = new Map();

  mismatch(description: string): void {
    this.mismatches += 1;
    const known = this.mismatchDescriptions;
    if (known.length < DESCRIPTIONS_MAX && !known.includes(description)) known.push(description);
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
