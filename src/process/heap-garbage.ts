/** The functions of V8 that bound its garbage. */
export interface Heap {
  readonly usedBytes: () => number;
  /** By how much the heap may outgrow what lives in it before all of it is collected. */
  readonly setGrowthPercent: (percent: number) => void;
}

/**
 * Keeps garbage below `bytesMax`, or below the smallest share of a large heap at which
 * a collection still pays. By default V8 lets the heap more than double, which exceeds
 * the budget. With a small share of a small heap, collections would take longer than
 * the work between them.
 */
export function boundGarbage(heap: Heap, bytesMax: number): void {
  let current = 0;
  const adjust = (): void => {
    const wanted = Math.round((100 * bytesMax) / heap.usedBytes());
    const percent = Math.min(Math.max(wanted, GROWTH_PERCENT_MIN), GROWTH_PERCENT_MAX);
    if (Math.abs(percent - current) < STEP && current !== 0) return;
    heap.setGrowthPercent(percent);
    current = percent;
  };
  adjust();
  setInterval(adjust, ADJUST_INTERVAL_MS).unref();
}

const GROWTH_PERCENT_MIN = 15;
const GROWTH_PERCENT_MAX = 150;
const STEP = 3;
/** Within this time a heap does not grow by much more than its garbage may take. */
const ADJUST_INTERVAL_MS = 250;
