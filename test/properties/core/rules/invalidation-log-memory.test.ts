import { describe, expect, it } from "vitest";
import { InvalidationLog } from "../../../../src/core/rules/invalidation-log.js";
import { invalidated, roomPurged } from "../../../support/core/changes.js";
import { at, collectGarbage } from "../../../support/core/parts.js";
import { roomId } from "../../../support/store/store-harness.js";

const newLog = (bounds: { bytesMax?: number; eventIdsMax?: number } = {}) =>
  new InvalidationLog(at(0), { bytesMax: 1e6, eventIdsMax: 65_536, ...bounds });

describe("InvalidationLog", () => {
  it("takes no more memory, however many changes have passed through", async () => {
    const log = newLog({ eventIdsMax: 100 });
    const passThrough = (from: number, to: number) => {
      for (let n = from; n < to; n++) {
        log.append(invalidated(`$${n}`));
        log.append(roomPurged(roomId(`!${n}`)));
      }
    };
    passThrough(0, 1000);
    await collectGarbage();
    const before = process.memoryUsage().heapUsed;
    passThrough(1000, 150_000);
    await collectGarbage();
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(1.5e6);
    expect(log.size.changes).toBe(201);
  });
});
