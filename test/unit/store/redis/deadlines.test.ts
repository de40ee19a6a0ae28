import { ErrorReply } from "@redis/client";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Deadlines } from "../../../../src/store/redis/client-library.js";

describe("deadlines", () => {
  let nowMs = 0;
  let late = 0;
  let deadlines: Deadlines;
  beforeEach(() => {
    vi.useFakeTimers();
    nowMs = 0;
    late = 0;
    deadlines = new Deadlines(
      1000,
      () => nowMs,
      () => {
        late += 1;
      },
    );
  });
  afterEach(() => vi.useRealTimers());

  const pass = async (ms: number) => {
    nowMs += ms;
    await vi.advanceTimersByTimeAsync(ms);
  };
  const outcomeOf = (promise: Promise<unknown>) => {
    const seen: { is: string } = { is: "pending" };
    promise.then(
      () => {
        seen.is = "done";
      },
      (error: { kind: string }) => {
        seen.is = error.kind;
      },
    );
    return seen;
  };

  it("rejects what takes too long, and tells of it", async () => {
    const outcome = outcomeOf(deadlines.race(new Promise(() => {})));
    await pass(999);
    expect(outcome.is).toBe("pending");
    await pass(1);
    expect(outcome.is).toBe("timeout");
    expect(late).toBe(1);
  });

  it("spares what is late because this process stood still, once", async () => {
    let answer: (value: string) => void = () => {};
    const answered = outcomeOf(
      deadlines.race(
        new Promise((resolve) => {
          answer = resolve;
        }),
      ),
    );
    const silent = outcomeOf(deadlines.race(new Promise(() => {})));
    await pass(900);
    nowMs += 5000;
    await pass(100);
    expect([answered.is, silent.is, late]).toEqual(["pending", "pending", 0]);
    // It lay here unread.
    answer("");
    await pass(0);
    nowMs += 5000;
    await pass(100);
    expect([answered.is, silent.is, late]).toEqual(["done", "timeout", 1]);
  });

  it("tells of nothing while others are answered, late or with an error", async () => {
    const answers: ((value: Promise<string>) => void)[] = [];
    const ask = () => outcomeOf(deadlines.race(new Promise((resolve) => answers.push(resolve))));
    const silent = ask();
    ask();
    await pass(500);
    answers[1]!(Promise.resolve(""));
    await pass(500);
    expect([silent.is, late]).toEqual(["timeout", 0]);
    ask();
    await pass(400);
    answers[0]!(Promise.reject(new ErrorReply("BUSY")));
    await pass(700);
    expect(late).toBe(0);
    ask();
    await pass(1000);
    expect(late).toBe(1);
  });
});
