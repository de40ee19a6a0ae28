import { newCounters } from "../core/model/counters.js";
import type { ChangeKind, HomeserverStats, HomeserverStatsTable, MissReason } from "../core/model/store.js";
import type { Homeserver, Position } from "../core/model/types.js";
import type { TimeSlicer } from "../telemetry/time-slicer.js";
import { Largest } from "./largest.js";
import { ROWS_MAX } from "./limits.js";

/** Counts of lookups and changes. */
export interface Activity {
  readonly hits: number;
  readonly misses: number;
  readonly changes: Readonly<Record<ChangeKind, number>>;
}

export const CHANGE_KINDS = Object.keys(newCounters().changes) as readonly ChangeKind[];

interface Tracked {
  /** Hits, misses, then changes by kind. */
  readonly counts: Float64Array;
  busyness: number;
  position: Position | undefined;
  reading: number;
}

/** What all homeservers do together, and which are the busiest. */
export class HomeserverActivity {
  readonly #tracked = new Map<Homeserver, Tracked>();
  readonly #total = new Float64Array(COLUMNS);
  /** Used again for each homeserver: there may be ten thousand. */
  readonly #now = new Float64Array(COLUMNS);
  #busiest: readonly Homeserver[] = [];
  #reading = 0;

  /** Since the start; homeservers that the store has forgotten are included. */
  get total(): Activity {
    return activityOf(this.#total);
  }

  /** Homeservers that the store knew at the last reading. */
  get homeservers(): number {
    return this.#tracked.size;
  }

  /** The busiest homeservers, in descending order. */
  get busiest(): readonly Homeserver[] {
    return this.#busiest;
  }

  /** The end of a homeserver's log at the last reading. */
  head(homeserver: Homeserver): Position | undefined {
    return this.#tracked.get(homeserver)?.position;
  }

  /** Reads all homeservers, some a slice, and returns what was added since the last reading. One call at a time. */
  async read(homeservers: HomeserverStatsTable, slicer: TimeSlicer): Promise<Activity> {
    this.#reading += 1;
    const added = new Float64Array(COLUMNS);
    for (const [name, stats] of homeservers) {
      this.#track(name, stats, added);
      if (slicer.isDue) await slicer.pause();
    }
    const busiest = new Largest<Homeserver>(ROWS_MAX);
    for (const [name, { reading, busyness }] of this.#tracked) {
      if (reading < this.#reading) this.#tracked.delete(name);
      else busiest.add(name, busyness);
    }
    this.#busiest = busiest.items();
    for (const [at, count] of added.entries()) this.#total[at]! += count;
    return activityOf(added);
  }

  #track(name: Homeserver, stats: HomeserverStats, added: Float64Array): void {
    let tracked = this.#tracked.get(name);
    if (tracked === undefined) {
      tracked = { counts: new Float64Array(COLUMNS), busyness: 0, position: undefined, reading: 0 };
      this.#tracked.set(name, tracked);
    }
    tracked.reading = this.#reading;
    tracked.position = stats.position;
    tracked.busyness *= BUSYNESS_KEPT;
    const { counts } = tracked;
    const now = this.#now;
    now[0] = stats.hits;
    now[1] = missCount(stats);
    for (let at = 2; at < COLUMNS; at += 1) now[at] = stats.changes[CHANGE_KINDS[at - 2]!];
    // Forgotten and seen again between two readings: it counts from zero.
    let isNewAgain = false;
    for (let at = 0; at < COLUMNS; at += 1) isNewAgain ||= now[at]! < counts[at]!;
    if (isNewAgain) counts.fill(0);
    for (let at = 0; at < COLUMNS; at += 1) {
      const more = now[at]! - counts[at]!;
      added[at]! += more;
      tracked.busyness += more;
    }
    counts.set(now);
  }
}

/** The sum of activities. */
export function sumActivities(all: readonly Activity[]): Activity {
  const sum = new Float64Array(COLUMNS);
  for (const activity of all) for (const [at, count] of countsOf(activity).entries()) sum[at]! += count;
  return activityOf(sum);
}

const COLUMNS = 2 + CHANGE_KINDS.length;
/** Halves in about half a minute, so that the order of homeservers does not jump. */
const BUSYNESS_KEPT = 0.9;

function countsOf({ hits, misses, changes }: Activity): number[] {
  return [hits, misses, ...CHANGE_KINDS.map((kind) => changes[kind])];
}

/** The misses of a homeserver, whatever their reason. */
export function missCount({ misses }: HomeserverStats): number {
  let sum = 0;
  for (const reason in misses) sum += misses[reason as MissReason];
  return sum;
}

function activityOf(counts: Float64Array): Activity {
  const changes = Object.fromEntries(CHANGE_KINDS.map((kind, at) => [kind, counts[2 + at]!]));
  return { hits: counts[0]!, misses: counts[1]!, changes: changes as Record<ChangeKind, number> };
}
