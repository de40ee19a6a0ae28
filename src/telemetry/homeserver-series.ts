import type { HomeserverStats } from "../core/model/store.js";
import type { TimeSlicer } from "./time-slicer.js";

/** One number that is read of each homeserver. */
export interface Column {
  /** Counters only grow; gauges have a current value. */
  readonly isCounter: boolean;
  /** Whether its growth measures how busy a homeserver is. */
  readonly isActivity: boolean;
  readonly read: (stats: HomeserverStats) => number;
}

/** The values of one value of the label `server_name`, one per column. */
export interface Row {
  readonly serverName: string;
  readonly values: Float64Array;
}

export interface SeriesOptions {
  readonly columns: readonly Column[];
  /** Homeservers that always have their own series. If empty, the busiest homeservers have. */
  readonly configured: ReadonlySet<string>;
  readonly busiestMax?: number;
}

interface Tracked {
  /** The values of its columns at the previous scrape and at this one. */
  before: Float64Array;
  now: Float64Array;
  activity: number;
  hasOwnRow: boolean;
  scrape: number;
}

/**
 * Chooses the homeservers that have their own series: the configured ones, or without any the busiest
 * hundred. All others share one row, `_other`. Its counters never decrease: they add the growth of each
 * homeserver's counters while that homeserver has no row. A homeserver keeps its row until another is
 * twice as busy, so that series do not appear and disappear often.
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

  /** The rows of the last scrape. */
  get rows(): readonly Row[] {
    return this.#rows;
  }

  /** The number of homeservers at the last scrape. */
  get homeservers(): number {
    return this.#tracked.size;
  }

  /** Reads all homeservers in slices. Calls must not overlap. */
  async read(homeservers: Iterable<readonly [string, HomeserverStats]>, slicer: TimeSlicer): Promise<void> {
    this.#scrape += 1;
    for (const [name, stats] of homeservers) {
      this.#track(name, stats);
      if (slicer.isDue) await slicer.pause();
    }
    for (const [name, { scrape }] of this.#tracked) if (scrape < this.#scrape) this.#tracked.delete(name);
    this.#choose();
    if (slicer.isDue) await slicer.pause();
    await this.#join(slicer);
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
    let hasRestarted = false;
    for (const [at, { isCounter, read }] of columns.entries()) {
      tracked.now[at] = read(stats);
      hasRestarted ||= isCounter && tracked.now[at] < tracked.before[at]!;
    }
    // The store forgot the homeserver and saw it again between two scrapes: its counters restarted at zero.
    if (hasRestarted) tracked.before.fill(0);
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
    // A homeserver with the name `_other` must not get a row: it would be mistaken for the sum.
    const sameName = this.#tracked.get(OTHER);
    if (sameName !== undefined) sameName.hasOwnRow = false;
  }

  async #join(slicer: TimeSlicer): Promise<void> {
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
      if (slicer.isDue) await slicer.pause();
    }
    if (this.#hasOthers) rows.push({ serverName: OTHER, values: other });
    this.#rows = rows;
  }
}

/** The label value for the sum of all homeservers that have no series of their own. */
const OTHER = "_other";
const BUSIEST_MAX = 100;

function scoreOf({ activity, hasOwnRow }: Tracked): number {
  return hasOwnRow ? 2 * activity + 1 : activity;
}
