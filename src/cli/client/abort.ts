import { setTimeout as delay } from "node:timers/promises";

/** A signal with an end of its own. */
export interface AbortScope {
  readonly signal: AbortSignal;
  /** Aborts the signal and frees its timer and listener. May be called again. */
  end(): void;
}

/**
 * Makes a signal that is aborted with `parent`, after a time, or at the scope's end. It replaces
 * `AbortSignal.any` over `AbortSignal.timeout`, which never fires on Node.js 20 once the garbage
 * collector has taken the timeout (nodejs/node#57736): here timer and listener hold the signal.
 */
export function abortScope(parent: AbortSignal, afterMs?: number): AbortScope {
  const controller = new AbortController();
  const timer = afterMs === undefined ? undefined : setTimeout(end, afterMs);
  function end(): void {
    clearTimeout(timer);
    parent.removeEventListener("abort", end);
    controller.abort();
  }
  parent.addEventListener("abort", end);
  if (parent.aborted) end();
  return { signal: controller.signal, end };
}

/** Waits; returns early, without an error, when the signal is aborted. */
export async function abortableDelay(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
}
