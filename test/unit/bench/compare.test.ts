import { describe, expect, it } from "vitest";
import { cpuRatio, type Measured } from "../../../bench/peers/rounds.js";
import { drawBars } from "../../../bench/results/chart.js";
import { verdictOf } from "../../../bench/results/compare.js";

function measured(cpu: readonly number[]): Measured {
  const idle = { operations: 1, events: 1, perSecond: 1, cpuPerEvent: 1, serverBusy: 1, loadBusy: 1 };
  const rounds = cpu.map((cpuPerOperation) => ({
    ...idle,
    ...{ cpuPerOperation, othersBusy: 0, p50: 1, p99: 1, p999: 1, max: 1 },
  }));
  return { scenario: "reads", variant: "stream", size: "1", rounds };
}

describe("the comparison of two runs", () => {
  it("takes a higher ratio for better where the target is a least, and for worse where it is a most", () => {
    expect(verdictOf({ target: "≥ 1" }, 1, 1.5)).toBe("better");
    expect(verdictOf({ target: "≥ 1" }, 1.5, 1)).toBe("worse");
    expect(verdictOf({ target: "≤ 2" }, 1, 1.5)).toBe("worse");
    expect(verdictOf({ target: "≤ 2" }, 1, 1.05)).toBe("same");
  });

  it("divides figures of the same round only", () => {
    const ratio = cpuRatio(measured([10, 20, 40]), measured([10, 40, 40]));
    expect(ratio).toEqual({ median: 1, low: 1, high: 2 });
  });

  it("draws the largest bar of a group at full width, and escapes names", () => {
    const svg = drawBars({
      title: "CPU",
      unit: "µs",
      groups: [
        {
          label: "a<b",
          bars: [
            { name: "x", value: 1 },
            { name: "y", value: 2 },
          ],
        },
      ],
    });
    expect(svg).toContain("a&lt;b");
    expect(svg).toContain("width='500.0'");
    expect(svg).toContain("width='250.0'");
  });
});
