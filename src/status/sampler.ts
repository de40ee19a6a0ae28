import { TimeSlicer } from "../telemetry/time-slicer.js";
import { HomeserverActivity } from "./activity.js";
import { figuresOf, type StatusFigures } from "./figures.js";
import { addedCounts } from "./histogram.js";
import { SAMPLE_INTERVAL_MS } from "./limits.js";
import { type Sample, Samples } from "./samples.js";
import type { CallCounts, StatusSources } from "./sources.js";
import { readSubscribers, type SubscriberList } from "./subscribers.js";

export interface SamplerOptions {
  readonly sources: StatusSources;
  /** A monotonic clock in milliseconds. */
  readonly clock: () => number;
  readonly onError: (error: unknown) => void;
  readonly intervalMs?: number;
  readonly newSlicer?: () => TimeSlicer;
}

/** The state at the last sample; all viewers share it. */
export interface Snapshot {
  readonly figures: StatusFigures;
  readonly samples: readonly Sample[];
  /** The upper bounds of the latency counts, in seconds. */
  readonly bounds: readonly number[];
}

/** Takes a sample every few seconds, in slices, so that calls do not wait for it. */
export class Sampler {
  readonly intervalMs: number;
  readonly #options: SamplerOptions;
  readonly #startMs: number;
  readonly #samples = new Samples();
  readonly #activity = new HomeserverActivity();
  #calls: CallCounts | undefined;
  #lastMs: number;
  #running: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #latest: Snapshot | undefined;

  constructor(options: SamplerOptions) {
    this.#options = options;
    this.intervalMs = options.intervalMs ?? SAMPLE_INTERVAL_MS;
    this.#startMs = options.clock();
    this.#lastMs = this.#startMs;
  }

  start(): void {
    this.#timer = setInterval(() => void this.sample(), this.intervalMs).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** The last sample; the first one is taken when it is asked for. */
  async latest(): Promise<Snapshot> {
    if (this.#latest === undefined) await this.sample();
    if (this.#latest === undefined) throw new Error("no sample could be taken");
    return this.#latest;
  }

  /** Takes a sample. Calls at the same time share one sample. Never rejects. */
  sample(): Promise<void> {
    this.#running ??= this.#take()
      .catch(this.#options.onError)
      .finally(() => {
        this.#running = undefined;
      });
    return this.#running;
  }

  async #take(): Promise<void> {
    const { sources, newSlicer, clock } = this.#options;
    const slicer = newSlicer?.() ?? new TimeSlicer();
    const activity = await this.#activity.read(sources.store.stats().homeservers, slicer);
    const headOf = this.#activity.head.bind(this.#activity);
    const subscribers = await readSubscribers(sources.subscriptions, headOf, slicer);
    const calls = await sources.calls();
    const nowMs = clock();
    this.#samples.add({
      seconds: (nowMs - this.#lastMs) / 1000,
      activity,
      ...addedCalls(this.#calls, calls),
      ...inUse(sources, subscribers),
      homeservers: this.#activity.homeservers,
    });
    this.#calls = calls;
    this.#lastMs = nowMs;
    const { bounds } = calls.latency;
    const figures = figuresOf(sources, {
      uptimeSeconds: Math.floor((nowMs - this.#startMs) / 1000),
      activity: this.#activity,
      live: this.#samples.live(),
      bounds,
      subscribers,
    });
    this.#latest = { figures, samples: this.#samples.all, bounds };
  }
}

function addedCalls(before: CallCounts | undefined, now: CallCounts) {
  return {
    calls: now.ended - (before?.ended ?? 0),
    failedCalls: now.failed - (before?.failed ?? 0),
    latencyCounts: addedCounts(before?.latency.counts, now.latency.counts),
  };
}

function inUse({ store, log }: StatusSources, { count, lagMax }: SubscriberList) {
  const { events, metadata, logBytes, heapBytes } = store.stats();
  return {
    eventsBytes: events.bytes,
    metadataBytes: metadata.bytes,
    logsBytes: logBytes,
    heapBytes,
    isLogUp: log.status().isUp,
    subscribers: count,
    lagMax,
  };
}
