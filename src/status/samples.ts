import { type Activity, sumActivities } from "./activity.js";
import { sumCounts } from "./histogram.js";
import { LIVE_SECONDS, SAMPLES_MAX } from "./limits.js";

/** What happened since the sample before, and what was in use. */
export interface Sample {
  /** The time since the sample before. */
  readonly seconds: number;
  readonly activity: Activity;
  /** Ended calls and requests on read streams, how many of them failed, and their durations: see `Histogram`. */
  readonly calls: number;
  readonly failedCalls: number;
  readonly latencyCounts: readonly number[];
  readonly eventsBytes: number;
  readonly metadataBytes: number;
  readonly logsBytes: number;
  readonly heapBytes: number;
  readonly isLogUp: boolean;
  readonly homeservers: number;
  readonly subscribers: number;
  readonly lagMax: number;
}

/** What happened in some samples together. */
export type Span = Pick<Sample, "seconds" | "activity" | "calls" | "failedCalls" | "latencyCounts">;

/** The samples of the last fifteen minutes, the newest last. */
export class Samples {
  readonly #kept: Sample[] = [];

  get all(): readonly Sample[] {
    return this.#kept;
  }

  add(sample: Sample): void {
    this.#kept.push(sample);
    if (this.#kept.length > SAMPLES_MAX) this.#kept.shift();
  }

  /** The last minute, or what there is of it. */
  live(): Span {
    const last: Sample[] = [];
    let covered = 0;
    for (let at = this.#kept.length - 1; at >= 0 && covered < LIVE_SECONDS; at -= 1) {
      const sample = this.#kept[at]!;
      last.push(sample);
      covered += sample.seconds;
    }
    const sum = (count: (sample: Sample) => number) => last.reduce((sum, sample) => sum + count(sample), 0);
    return {
      seconds: covered,
      activity: sumActivities(last.map(({ activity }) => activity)),
      calls: sum(({ calls }) => calls),
      failedCalls: sum(({ failedCalls }) => failedCalls),
      latencyCounts: sumCounts(last.map(({ latencyCounts }) => latencyCounts)),
    };
  }
}
