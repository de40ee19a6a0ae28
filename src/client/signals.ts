import { setTimeout as delay } from "node:timers/promises";

const callbacks = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Calls `callback` when the signal is aborted, at once if it is. Returns a function that forgets it. A signal
 * gets one listener for all calls that share it: Node.js warns of a leak beyond ten.
 */
export function onAbort(signal: AbortSignal | undefined, callback: () => void): () => void {
  if (signal === undefined) return () => undefined;
  if (signal.aborted) {
    callback();
    return () => undefined;
  }
  let waiting = callbacks.get(signal);
  if (waiting === undefined) {
    const added = new Set<() => void>();
    callbacks.set(signal, added);
    signal.addEventListener("abort", () => {
      for (const each of [...added]) each();
      added.clear();
    });
    waiting = added;
  }
  // A callback that is registered twice must be forgotten twice.
  const entry = () => callback();
  const set = waiting.add(entry);
  return () => set.delete(entry);
}

/** Waits; returns early, without an error, when the signal is aborted. */
export async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return await delay(ms);
  const waited = new AbortController();
  const forget = onAbort(signal, () => waited.abort());
  await delay(ms, undefined, { signal: waited.signal }).catch(() => undefined);
  forget();
}

/** What an aborted signal rejects with. */
export function abortReason(signal: AbortSignal): unknown {
  return signal.reason ?? new DOMException("This operation was aborted", "AbortError");
}
