import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { NewEvent } from "../../../src/core/model/types.js";
import { withRedactedBodies } from "../../../src/core/redaction/with-redacted-bodies.js";
import { FairTurns } from "../../../src/store/fair-turns.js";
import { laterTurns } from "../../support/core/parts.js";
import { eventId, messageEvent } from "../../support/store/store-harness.js";

/** Puts that take a millisecond each, in the order in which they run. */
function newTurns() {
  let nowMs = 0;
  const ran: string[] = [];
  const turns = laterTurns();
  const fair = new FairTurns(() => nowMs, turns.defer);
  const put = (name: string) =>
    fair.run(name[0]!, () => {
      ran.push(name);
      nowMs += 1;
      return name;
    });
  return { fair, put, ran, turns };
}

describe("FairTurns", () => {
  it("runs a put at once if nothing waits", async () => {
    const { put, ran, turns } = newTurns();
    const done = put("a1");
    expect(ran).toEqual(["a1"]);
    expect(await done).toBe("a1");
    turns.next();
    void put("a2");
    expect(ran).toEqual(["a1", "a2"]);
  });

  it("runs puts for a short time in one turn of the event loop, and homeservers by turns", () => {
    const { put, ran, turns } = newTurns();
    for (const name of ["a1", "a2", "a3", "a4", "b1"]) void put(name);
    expect(ran).toEqual(["a1"]);
    turns.next();
    expect(ran).toEqual(["a1", "a2"]);
    turns.next();
    expect(ran).toEqual(["a1", "a2", "b1"]);
    // Who comes while others wait is no exception.
    void put("b2");
    turns.next();
    turns.next();
    turns.next();
    expect(ran).toEqual(["a1", "a2", "b1", "a3", "b2", "a4"]);
    turns.next();
    expect(turns.pending).toBe(0);
  });

  it("rejects with what a put throws, and goes on", async () => {
    const { fair, put, turns } = newTurns();
    const failed = fair.run("a", () => {
      throw new Error("failed");
    });
    await expect(failed).rejects.toThrow("failed");
    const next = put("a1");
    turns.next();
    expect(await next).toBe("a1");
  });

  it("makes redacted bodies in the same turns, however many puts need them", async () => {
    let nowMs = 0;
    const turns = laterTurns();
    const fair = new FairTurns(() => nowMs, turns.defer);
    const slowToRedact = (id: string): NewEvent => {
      const event = messageEvent(id, { redaction: { redactedBy: eventId("$r"), redactedBody: undefined } });
      const { body } = event;
      return {
        ...event,
        get body() {
          nowMs += 0.5;
          return body;
        },
      };
    };
    const puts = Array.from({ length: 20 }, (_, put) =>
      withRedactedBodies(
        Array.from({ length: 3 }, (_, n) => slowToRedact(`$${put}-${n}`)),
        { clock: () => nowMs, inTurn: (step) => fair.run("a", step) },
      ),
    );
    let longest = nowMs;
    for (let turn = 0; turn < 100; turn++) {
      const before = nowMs;
      turns.next();
      await nextTurn();
      longest = Math.max(longest, nowMs - before);
    }
    expect((await Promise.all(puts)).flat()).toHaveLength(60);
    // Two readings of the body for each event: one event a turn.
    expect(longest).toBe(1);
  });
});
