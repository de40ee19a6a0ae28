import type { HomeserverMetadata } from "../core/memory/metadata-cache.js";
import {
  PROGRESS_INTERVAL_MS,
  SWEEP_INTERVAL_MS,
  SWEEP_PAUSE_MS,
  SWEEP_SLICE_MS,
} from "../core/model/limits.js";
import type { Sweep } from "../core/rules/sweep.js";

export interface BackgroundWorkOptions {
  readonly sweep: Sweep;
  /** The metadata of all homeservers in the store. */
  readonly live: () => Iterable<HomeserverMetadata>;
  /** Called once in each progress interval. */
  readonly onTick: () => void;
  readonly clock: () => number;
  readonly progressIntervalMs?: number;
  readonly sweepIntervalMs?: number;
}

/** Starts the background work of a store: the sweep in small slices, and the tick of subscribers. Returns `stop`. */
export function startBackgroundWork(options: BackgroundWorkOptions): () => void {
  const { sweep, live, onTick, clock } = options;
  let sliceTimer: NodeJS.Timeout | undefined;

  function slice(): void {
    const endMs = clock() + SWEEP_SLICE_MS;
    const workIsLeft = sweep.slice(() => clock() >= endMs);
    sliceTimer = workIsLeft ? setTimeout(slice, SWEEP_PAUSE_MS) : undefined;
  }

  function beginPass(): void {
    sweep.begin(live, clock());
    // If the previous pass still runs, its next slice is already scheduled.
    if (sliceTimer === undefined) slice();
  }

  const timers = [
    setInterval(onTick, options.progressIntervalMs ?? PROGRESS_INTERVAL_MS),
    setInterval(beginPass, options.sweepIntervalMs ?? SWEEP_INTERVAL_MS),
  ];
  // Background work must not keep the process alive.
  for (const timer of timers) timer.unref();
  return () => {
    for (const timer of timers) clearInterval(timer);
    clearTimeout(sliceTimer);
  };
}
