/** A signal with an end of its own. */
export interface AbortScope {
  readonly signal: AbortSignal;
  /** Aborts the signal, if nothing has yet, and frees what it needs. May be called again. */
  end(): void;
}

/**
 * A signal that is aborted with `parent`, after a time, or at the scope's end. To be used in place of
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
