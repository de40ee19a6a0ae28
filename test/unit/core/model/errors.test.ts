import { describe, expect, it } from "vitest";
import { CacheError } from "../../../../src/core/model/errors.js";

describe("CacheError", () => {
  it("is an Error with a kind, and without details unless they are given", () => {
    const error = new CacheError("unavailable", "draining");
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({ name: "CacheError", kind: "unavailable", message: "draining" });
    expect(error.violations).toEqual([]);
    expect(error.retryDelayMs).toBeUndefined();
    expect("cause" in error).toBe(false);
  });

  it("carries what was wrong, when to come back, and its cause", () => {
    const cause = new Error("deep");
    const violations = [{ field: "event_id", description: "must not be empty" }];
    const error = new CacheError("exhausted", "full", { violations, retryDelayMs: 5, cause });
    expect(error.violations).toBe(violations);
    expect(error.retryDelayMs).toBe(5);
    expect(error.cause).toBe(cause);
  });
});
