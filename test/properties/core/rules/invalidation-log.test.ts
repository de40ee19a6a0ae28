import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Batch, Change, EventId } from "../../../../src/core/model/types.js";
import { InvalidationLog } from "../../../../src/core/rules/invalidation-log.js";
import {
  homeserverPurged,
  invalidated,
  redacted,
  rejected,
  roomPurged,
} from "../../../support/core/changes.js";
import { at, type EPOCH, epoch } from "../../../support/core/parts.js";
import { eventId, roomId } from "../../../support/store/store-harness.js";

describe("InvalidationLog", () => {
  it("agrees with a log that keeps everything, wherever it does not say that it is too old", () => {
    const ids = fc.constantFrom("$1", "$2", "$3", "$4", "$5");
    const rooms = fc.constantFrom("!1", "!2");
    const change: fc.Arbitrary<Change> = fc.oneof(
      fc.array(ids, { minLength: 1, maxLength: 3 }).map((some) => invalidated(...new Set(some))),
      ids.map((id) => redacted(id)),
      ids.map((id) => rejected(id)),
      rooms.map((room) => roomPurged(roomId(room))),
      fc.constant(homeserverPurged),
    );
    const step = fc.oneof(
      { weight: 20, arbitrary: change.map((appended) => ({ change: appended })) },
      { weight: 2, arbitrary: fc.nat(3000).map((bytesMax) => ({ bytesMax })) },
      { weight: 1, arbitrary: fc.constant({ restart: true }) },
    );
    const bounds = fc.record({ bytesMax: fc.nat(3000), eventIdsMax: fc.nat(12) });
    fc.assert(
      fc.property(bounds, fc.array(step, { maxLength: 120, size: "max" }), (bound, steps) => {
        const log = new InvalidationLog(at(0), bound);
        let kept: Change[] = [];
        let bytesMax = bound.bytesMax;
        let epochs = 0;
        const current = () => epoch("abcdef0123456789"[epochs % 16]!);
        for (const one of steps) {
          if ("change" in one) {
            kept.push(one.change);
            log.append(one.change);
          } else if ("bytesMax" in one) {
            bytesMax = one.bytesMax;
            log.setBytesMax(bytesMax);
          } else {
            kept = [];
            epochs += 1;
            log.restart(at(0, current()));
          }
          checkAgainst(log, kept, current());
          const { bytes, eventIds } = log.size;
          expect(bytes).toBeLessThanOrEqual(bytesMax);
          expect(eventIds).toBeLessThanOrEqual(bound.eventIdsMax);
        }
      }),
      { numRuns: 60 },
    );
  });
});

/** Compares verdicts and batches at every position with what all the changes since say. */
function checkAgainst(log: InvalidationLog, kept: readonly Change[], current: typeof EPOCH): void {
  const oldest = kept.length - log.size.changes;
  expect(log.position).toEqual(at(kept.length, current));
  for (let sequence = 0; sequence <= kept.length; sequence++) {
    const position = at(sequence, current);
    const since = kept.slice(sequence);
    for (const id of ["$1", "$5"].map(eventId)) {
      for (const room of ["!1", "!2"].map(roomId)) {
        const outdated = since.some((change) => outdates(change, id, room));
        const wanted = sequence < oldest ? "tooOld" : outdated ? "fenced" : "stored";
        if (log.judge(position, id, room) !== wanted) throw new Error(`${id} at ${sequence}: not ${wanted}`);
      }
    }
    if (log.resume(position) !== (sequence < oldest ? "tooOld" : undefined)) throw new Error("resume");
    if (sequence >= oldest) checkBatch(log.readAfter(position), sequence, since);
  }
}

function checkBatch(batch: Batch | undefined, sequence: number, since: readonly Change[]): void {
  if (since.length === 0) {
    if (batch !== undefined) throw new Error("a batch of nothing");
    return;
  }
  const notices = batch?.notices ?? [];
  const exact =
    batch?.from.sequence === sequence &&
    batch.to.sequence === sequence + since.length &&
    notices.length === since.length &&
    notices.every((notice, n) => notice.change === since[n] && notice.sequence === sequence + n + 1);
  if (!exact) throw new Error(`the batch after ${sequence}`);
}

function outdates(change: Change, id: EventId, room: string): boolean {
  switch (change.kind) {
    case "homeserverPurged":
      return true;
    case "roomPurged":
      return change.roomId === room;
    case "invalidated":
      return change.eventIds.includes(id);
    default:
      return change.eventId === id;
  }
}
