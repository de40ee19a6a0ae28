import { describe, expect, it } from "vitest";
import { ChangeRate } from "../../../../src/core/rules/change-rate.js";

describe("ChangeRate", () => {
  it("admits so many changes a second, and says when the next is admitted", () => {
    const rate = new ChangeRate(4, 0);
    for (let n = 0; n < 4; n++) expect(rate.take(0)).toBeUndefined();
    expect(rate.take(0)).toMatchObject({ kind: "exhausted", retryDelayMs: 250 });
    expect(rate.take(200)).toMatchObject({ kind: "exhausted", retryDelayMs: 50 });
    expect(rate.take(250)).toBeUndefined();
    expect(rate.take(250)?.message).toContain("4 a second");
  });

  it("keeps no more than one second", () => {
    const rate = new ChangeRate(2, 0);
    for (let n = 0; n < 2; n++) expect(rate.take(60_000)).toBeUndefined();
    expect(rate.take(60_000)).toBeDefined();
  });
});
