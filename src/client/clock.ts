/** Milliseconds that never go back. Clocks of two processes are never compared. */
export type Clock = () => number;

/** A difference between the two clocks above it means that the machine was suspended. */
const SUSPENDED_MS = 250;

/**
 * A monotonic clock that continues while the machine is suspended. The clock of Node.js stops then, so what
 * it measures would be too young: the time that the wall clock is ahead is added. The two are compared once in
 * a turn of the event loop. A wall clock that is set forward adds time as well. Then a proof is too old, which
 * is safe.
 */
export function suspendAwareClock(
  monotonic: Clock = () => performance.now(),
  wall: Clock = Date.now,
  // Before the loop waits again: an immediate that holds no reference would run after it.
  atEndOfTurn: (callback: () => void) => void = setImmediate,
): Clock {
  let monotonicBefore = monotonic();
  let wallBefore = wall();
  let suspendedMs = 0;
  let isCompared = false;
  function compare(monotonicNow: number): void {
    isCompared = true;
    atEndOfTurn(() => {
      isCompared = false;
    });
    const wallNow = wall();
    const ahead = wallNow - wallBefore - (monotonicNow - monotonicBefore);
    if (ahead > SUSPENDED_MS) suspendedMs += ahead;
    // An advance that is too small for one look is kept for the next one, unless the clock went back.
    if (ahead > SUSPENDED_MS || ahead < 0) {
      monotonicBefore = monotonicNow;
      wallBefore = wallNow;
    }
  }
  return () => {
    const now = monotonic();
    if (!isCompared) compare(now);
    return now + suspendedMs;
  };
}
