import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { abortScope } from "../../../../src/cli/client/abort.js";

describe("abortScope", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("is aborted after its time", () => {
    const { signal } = abortScope(new AbortController().signal, 1000);
    vi.advanceTimersByTime(999);
    expect(signal.aborted).toBe(false);
    vi.advanceTimersByTime(1);
    expect(signal.aborted).toBe(true);
  });

  it("is aborted with its parent, also if the parent is aborted before", () => {
    const parent = new AbortController();
    const { signal } = abortScope(parent.signal, 1000);
    expect(signal.aborted).toBe(false);
    parent.abort();
    expect(signal.aborted).toBe(true);
    expect(abortScope(parent.signal).signal.aborted).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("is aborted at its end, leaves its parent alone, and holds no timer", () => {
    const parent = new AbortController();
    const scope = abortScope(parent.signal, 1000);
    scope.end();
    scope.end();
    expect([scope.signal.aborted, parent.signal.aborted]).toEqual([true, false]);
    expect(vi.getTimerCount()).toBe(0);
  });
});
