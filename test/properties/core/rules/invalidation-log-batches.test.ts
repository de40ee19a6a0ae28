import { describe, expect, it } from "vitest";
import type { Change } from "../../../../src/core/model/types.js";
import { InvalidationLog } from "../../../../src/core/rules/invalidation-log.js";
import {
  homeserverPurged,
  invalidated,
  redacted,
  rejected,
  roomPurged,
  wireBytes,
} from "../../../support/core/changes.js";
import { at } from "../../../support/core/parts.js";
import { roomId } from "../../../support/store/store-harness.js";

const newLog = (bounds: { bytesMax?: number; eventIdsMax?: number } = {}) =>
  new InvalidationLog(at(0), { bytesMax: 1e6, eventIdsMax: 65_536, ...bounds });

describe("InvalidationLog", () => {
  it("cuts a batch at a thousand notices", () => {
    const log = newLog();
    for (let n = 0; n < 1500; n++) log.append(homeserverPurged);
    expect(log.readAfter(at(0))).toMatchObject({ from: at(0), to: at(1000) });
    expect(log.readAfter(at(1000))?.notices).toHaveLength(500);
    expect(log.readAfter(at(499))?.to).toEqual(at(1499));
  });

  it.each<[string, (n: number) => Change]>([
    ["short ones", (n) => rejected(`$${n}`)],
    ["redactions with long IDs", (n) => redacted(`$${n}`.padEnd(1020, "é"), "r".repeat(1020))],
    ["invalidations", (n) => invalidated(...Array.from({ length: 40 }, (_, m) => `$${n}-${m}`))],
    ["invalidations of one ID", (n) => invalidated(`$${n}`)],
    [
      "invalidations with a room",
      (n) => ({ ...invalidated(`$${n}`), roomId: roomId("!".padEnd(1020)) }) as Change,
    ],
    ["purges of rooms", (n) => roomPurged(roomId(`!${n}`.padEnd(1020, "😀")))],
    ["purges", () => homeserverPurged],
  ])("cuts a batch so that its wire form stays under a mebibyte, but not far under: %s", (_, change) => {
    const log = newLog({ bytesMax: 1e9 });
    for (let n = 0; n < 3000; n++) log.append(change(n));
    const batch = log.readAfter(at(0))!;
    const bytes = wireBytes(batch);
    expect(bytes).toBeLessThanOrEqual(2 ** 20);
    expect(batch.notices.length === 1000 || bytes > 0.75 * 2 ** 20).toBe(true);
  });
});
