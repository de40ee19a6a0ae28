import type { HomeserverStats } from "../core/model/store.js";
import type { Pace } from "./pace.js";

/** What is read of each homeserver: one number a column. */
export interface Column {
  /** Counters only grow; of gauges the present value counts. */
  readonly isCounter: boolean;
  /** Whether it says how busy a homeserver is. */
  readonly isActivity: boolean;
  readonly read: (stats: HomeserverStats) => number;
}

/** The values of one label value `server_name`, a number a column. */
export interface Row {
  readonly serverName: string;
  readonly values: Float64Array;
}

export interface SeriesOptions {
  readonly columns: readonly Column[];
  /** Homeservers that always have series of their own; empty: the busiest have. */
  readonly configured: ReadonlySet<string>;
  readonly busiestMax?: number;
}

interface Tracked {
  /** What its columns had at the scrape before, and have now. */
  before: Float64Array;
  now: Float64Array;
  activity: number;
  hasOwnRow: boolean;
  scrape: number;
}

/**
 * Chooses the homeservers that have series of their own: those of the configuration, else the busiest
 * hundred. All others are one row, `_other`, whose counters never go back: each takes what has been
 * counted of a homeserver while that homeserver had no row. A homeserver keeps its row until another
 * is twice as busy, so that series do not come and go.
 */
export class HomeserverSeries {
  readonly #options: SeriesOptions;
  readonly #busiestMax: number;
  readonly #tracked = new Map<string, Tracked>();
  readonly #other: Float64Array;
  #scrape = 0;
  #hasOthers = false;
  #rows: Row[] = [];

  constructor(options: SeriesOptions) {
    this.#options = options;
    this.#busiestMax = options.busiestMax ?? BUSIEST_MAX;
    this.#other = new Float64Array(options.columns.length);
  }

  /** As of the last scrape. */
  get rows(): readonly Row[] {
    return this.#rows;
  }

  /** Homeservers that the store knows. */
  get homeservers(): number {
    return this.#tracked.size;
  }

  /** Reads all homeservers, some a slice. One call at a time. */
  async read(homeservers: Iterable<readonly [string, HomeserverStats]>, pace: Pace): Promise<void> {
    this.#scrape += 1;
    for (const [name, stats] of homeservers) {
      this.#track(name, stats);
      if (pace.isDue) await pace.pause();
    }
    for (const [name, { scrape }] of this.#tracked) if (scrape < this.#scrape) this.#tracked.delete(name);
    this.#choose();
    if (pace.isDue) await pace.pause();
    await this.#join(pace);
  }

  #track(name: string, stats: HomeserverStats): void {
    const { columns } = this.#options;
    let tracked = this.#tracked.get(name);
    if (tracked === undefined) {
      tracked = {
        before: new Float64Array(columns.length),
        now: new Float64Array(columns.length),
        activity: 0,
        hasOwnRow: false,
        scrape: 0,
      };
      this.#tracked.set(name, tracked);
    }
    tracked.scrape = this.#scrape;
    [tracked.before, tracked.now] = [tracked.now, tracked.before];
    let isNewAgain = false;
    for (const [at, { isCounter, read }] of columns.entries()) {
      tracked.now[at] = read(stats);
      isNewAgain ||= isCounter && tracked.now[at] < tracked.before[at]!;
    }
    // Forgotten and seen again between two scrapes: it counts from zero.
    if (isNewAgain) tracked.before.fill(0);
    tracked.activity /= 2;
    for (const [at, { isActivity }] of columns.entries()) {
      if (isActivity) tracked.activity += tracked.now[at]! - tracked.before[at]!;
    }
  }

  #choose(): void {
    const { configured } = this.#options;
    if (configured.size > 0) {
      for (const [name, tracked] of this.#tracked) tracked.hasOwnRow = configured.has(name);
    } else {
      const scores = Float64Array.from(this.#tracked.values(), scoreOf).sort();
      const least = scores.at(-this.#busiestMax) ?? Number.NEGATIVE_INFINITY;
      let isAbove = 0;
      for (const tracked of this.#tracked.values()) if (scoreOf(tracked) > least) isAbove += 1;
      let room = this.#busiestMax - isAbove;
      for (const tracked of this.#tracked.values()) {
        const score = scoreOf(tracked);
        tracked.hasOwnRow = score > least || (score === least && room-- > 0);
      }
    }
    // Its row would be taken for that of the others.
    const namesake = this.#tracked.get(OTHER);
    if (namesake !== undefined) namesake.hasOwnRow = false;
  }

  async #join(pace: Pace): Promise<void> {
    const { columns } = this.#options;
    const rows: Row[] = [];
    const other = this.#other;
    for (const [at, { isCounter }] of columns.entries()) if (!isCounter) other[at] = 0;
    for (const [serverName, { before, now, hasOwnRow }] of this.#tracked) {
      if (hasOwnRow) rows.push({ serverName, values: now });
      else {
        this.#hasOthers = true;
        for (const [at, { isCounter }] of columns.entries()) {
          other[at]! += isCounter ? now[at]! - before[at]! : now[at]!;
        }
      }
      if (pace.isDue) await pace.pause();
    }
    if (this.#hasOthers) rows.push({ serverName: OTHER, values: other });
    this.#rows = rows;
  }
}

/** The label value of all homeservers together that have no series of their own. */
const OTHER = "_other";
const BUSIEST_MAX = 100;

function scoreOf({ activity, hasOwnRow }: Tracked): number {
  return hasOwnRow ? 2 * activity + 1 : activity;
}
