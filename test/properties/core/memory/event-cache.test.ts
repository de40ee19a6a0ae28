import { describe, expect, it } from "vitest";
import { collectGarbage, newCaches } from "../../../support/core/parts.js";
import { messageEvent } from "../../../support/store/store-harness.js";

const event = (id: string, text: string) => messageEvent(id, { body: Buffer.from(text) });

describe("EventCache", () => {
  it("keeps nothing of events that have left, not even their IDs", async () => {
    const { events } = newCaches({ events: { entriesMax: 10 } });
    const passThrough = (from: number, to: number) => {
      for (let n = from; n < to; n++) {
        const variant = events.acquire(event(`$${n}`, "text"));
        if (n % 2 === 0) events.release(variant);
      }
    };
    passThrough(0, 1000);
    await collectGarbage();
    const before = process.memoryUsage().heapUsed;
    passThrough(1000, 50_000);
    await collectGarbage();
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(1.5e6);
  });
});
