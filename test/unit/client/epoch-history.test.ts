import { describe, expect, it } from "vitest";
import { EpochHistory } from "../../../src/client/epoch-history.js";

describe("EpochHistory", () => {
  it("accepts an epoch as long as it lasts, and every new one", () => {
    const epochs = new EpochHistory();
    expect(["a", "a", "b", "b", "c"].map((epoch) => epochs.sees(epoch))).not.toContain(false);
  });

  it("notices an epoch that comes back after another one", () => {
    const epochs = new EpochHistory();
    expect(["a", "b", "a"].map((epoch) => epochs.sees(epoch))).toEqual([true, true, false]);
  });

  it("remembers a thousand epochs, not all there ever were", () => {
    const epochs = new EpochHistory();
    for (let epoch = 0; epoch <= 1001; epoch += 1) epochs.sees(String(epoch));
    expect(epochs.sees("1")).toBe(false);
    expect(epochs.sees("0")).toBe(true);
  });
});
