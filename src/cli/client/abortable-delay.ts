import { setTimeout as delay } from "node:timers/promises";

/** Waits; returns early, without an error, when the signal is aborted. */
export async function abortableDelay(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
}
