import { beforeEach, describe, expect, it } from "vitest";
import { Gate, type Poll, ROWS_MAX } from "../../../src/client/outbox/gate.js";

describe("Gate", () => {
  let now: number;
  let gate: Gate;

  beforeEach(() => {
    now = 10_000;
    gate = new Gate(() => now);
  });

  const poll = (given: Partial<Poll> = {}) =>
    gate.learn({
      sentAt: now,
      rows: [],
      epoch: "a",
      generation: "g",
      recordedGeneration: "g",
      counter: 1n,
      heard: 1n,
      ...given,
    });

  it("is closed before the first poll, and three seconds after the last one was sent", () => {
    expect(gate.isOpen()).toBe(false);
    poll();
    now += 2999;
    expect(gate.isOpen()).toBe(true);
    now += 1;
    expect(gate.isOpen()).toBe(false);
  });

  it("is closed by a row that no earlier poll could have shown, until the row is announced", () => {
    poll({ rows: ["r"] });
    expect(gate.isOpen()).toBe(false);
    expect(gate.overdue()).toEqual(["r"]);
    expect(gate.announced(["r"], "a")).toBe(true);
    expect(gate.isOpen()).toBe(true);
    expect(gate.deletable()).toEqual(["r"]);
  });

  it("relays a row after two seconds and closes after four, from the last poll that did not show it", () => {
    poll();
    for (let second = 1; second <= 3; second += 1) {
      now += 1000;
      poll({ rows: ["r"] });
      expect(gate.isOpen()).toBe(true);
      expect(gate.overdue()).toEqual(second > 2 ? ["r"] : []);
    }
    now += 999;
    expect(gate.isOpen()).toBe(true);
    now += 1;
    expect(gate.isOpen()).toBe(false);
  });

  it("forgets what it announced with a new epoch, and counts no announcement of another one", () => {
    poll();
    now += 1000;
    poll({ rows: ["r"] });
    gate.announced(["r"], "a");
    now += 1000;
    poll({ rows: ["r"], epoch: "b" });
    expect(gate.deletable()).toEqual([]);
    expect(gate.announced(["r"], "a")).toBe(false);
    expect(gate.uses("a")).toBe(false);
    expect(gate.uses("b")).toBe(true);
    expect(gate.uses("")).toBe(false);
  });

  it("counts an OK when its epoch has been registered for three seconds", () => {
    poll();
    expect(gate.counts("a")).toBe(false);
    now += 3000;
    expect(gate.counts("a")).toBe(true);
    expect(gate.counts("b")).toBe(false);
  });

  it.each([
    ["another generation", { generation: "h" }],
    ["a counter that goes back", { counter: 0n }],
  ])("is closed by %s until everything was purged", (_, given) => {
    poll();
    poll(given);
    expect(gate.isOpen()).toBe(false);
    expect(gate.isOtherDatabase).toBe(true);
    gate.purged();
    poll();
    expect(gate.isOpen()).toBe(true);
  });

  it("does not count a poll that does not show all rows", () => {
    poll();
    now += 3000;
    poll({ rows: Array.from({ length: ROWS_MAX + 1 }, (_, n) => `${n}`) });
    expect(gate.isOpen()).toBe(false);
  });

  it("takes nothing from a poll that is answered after a later one", () => {
    poll();
    now += 1000;
    poll({ rows: ["r"] });
    poll({ sentAt: now - 500, epoch: "old" });
    now += 3000;
    poll({ rows: ["r"] });
    expect(gate.isOpen()).toBe(false);
    expect(gate.epoch).toBe("a");
  });

  it("finds an epoch silent after thirty seconds in which nobody has heard of it", () => {
    poll();
    now += 29_999;
    poll();
    expect(gate.isEpochSilent).toBe(false);
    now += 1;
    expect(gate.isEpochSilent).toBe(true);
    poll({ heard: 2n });
    expect(gate.isEpochSilent).toBe(false);
  });
});
