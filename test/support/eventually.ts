import { vi } from "vitest";

/** Repeats a check until it passes; fails with its last failure after ten seconds, ample on a busy machine. */
export function eventually<T>(check: () => T | Promise<T>): Promise<T> {
  return vi.waitFor(check, { timeout: 10_000, interval: 10 });
}
