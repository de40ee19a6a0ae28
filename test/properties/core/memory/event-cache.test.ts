import { describe, expect, it } from "vitest";
import { collectGarbage, newCaches, putBoth } from "../../../support/core/parts.js";
import { eventId } from "../../../support/store/store-harness.js";

describe("EventCache", () => {
  it("keeps nothing of events that have left, not even their IDs", async () => {
    const caches = newCaches({ events: { entriesMax: 10 } });
    const owner = caches.newOwner();
    const passThrough = (from: number, to: number) => {
      for (let n = from; n < to; n++) {
        putBoth(caches, owner, `$${n}`);
        const entry = owner.entries.get(eventId(`$${n}`));
        if (entry !== undefined && n % 2 === 0) caches.metadata.drop(entry);
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
