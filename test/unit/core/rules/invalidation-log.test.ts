import { describe, expect, it } from "vitest";
import type { Change, EventId } from "../../../../src/core/model/types.js";
import { InvalidationLog } from "../../../../src/core/rules/invalidation-log.js";
import {
  homeserverPurged,
  invalidated,
  redacted,
  rejected,
  roomPurged,
} from "../../../support/core/changes.js";
import { at, collectGarbage, epoch } from "../../../support/core/parts.js";
import { eventId, OTHER_ROOM, ROOM, roomId } from "../../../support/store/store-harness.js";

const A = eventId("$a");

const newLog = (bounds: { bytesMax?: number; eventIdsMax?: number } = {}) =>
  new InvalidationLog(at(0), { bytesMax: 1e6, eventIdsMax: 65_536, ...bounds });

/** The bytes that a change is counted to cost. */
function costOf(change: Change): number {
  const log = newLog();
  log.append(change);
  return log.size.bytes;
}

/** 500 of the longest IDs: the largest change there is. */
const largest = (mark: string) =>
  invalidated(...Array.from({ length: 500 }, (_, n) => `$${mark}${n}-`.padEnd(1020, "x")));

describe("InvalidationLog", () => {
  it("begins at 0 and gives every change the next number", () => {
    const log = newLog();
    expect(log.position).toEqual(at(0));
    expect([log.append(invalidated("$a")), log.append(roomPurged())]).toEqual([at(1), at(2)]);
    expect(log.position).toBe(log.position);
    expect(log.size).toMatchObject({ changes: 2, eventIds: 1, bytesMax: 1e6 });
  });

  it.each<[string, Change]>([
    ["an invalidation", invalidated("$x", "$a")],
    ["a redaction", redacted("$a")],
    ["a rejection", rejected("$a")],
    ["a purge of its room", roomPurged()],
    ["a purge of everything", homeserverPurged],
  ])("fences what was read before %s, and nothing that was read at or after it", (_, change) => {
    const log = newLog();
    const before = log.position;
    const after = log.append(change);
    expect(log.judge(before, A, ROOM)).toBe("fenced");
    expect(log.judge(after, A, ROOM)).toBe("stored");
    log.append(invalidated("$other"));
    log.append(roomPurged(OTHER_ROOM));
    expect(log.judge(before, A, ROOM)).toBe("fenced");
    expect(log.judge(after, A, ROOM)).toBe("stored");
  });

  it("refuses positions that it never had", () => {
    const log = newLog();
    log.append(invalidated("$x"));
    for (const position of [at(2), at(1, epoch("b")), at(0, epoch("b"))]) {
      expect(log.judge(position, A, ROOM)).toBe("wrongEpoch");
      expect(log.resume(position)).toBe("wrongEpoch");
    }
    expect([log.resume(at(0)), log.resume(at(1))]).toEqual([undefined, undefined]);
  });

  it("refuses a position older than its oldest change, and trims no earlier than it must", () => {
    const log = newLog({ bytesMax: 3 * costOf(redacted("$1")) });
    for (const id of ["$1", "$2", "$3"]) log.append(redacted(id));
    expect(log.judge(at(0), A, ROOM)).toBe("stored");
    expect(log.resume(at(0))).toBeUndefined();
    log.append(redacted("$4"));
    expect(log.size).toMatchObject({ changes: 3, eventIds: 3 });
    for (const [sequence, verdict] of ["tooOld", "stored", "stored", "stored", "stored"].entries()) {
      expect(log.judge(at(sequence), A, ROOM)).toBe(verdict);
      expect(log.resume(at(sequence))).toBe(verdict === "stored" ? undefined : verdict);
    }
    expect(log.judge(at(1), eventId("$2"), ROOM)).toBe("fenced");
    expect(log.readAfter(at(1))?.notices.map(({ sequence }) => sequence)).toEqual([2, 3, 4]);
  });

  it("holds as many event IDs as it may, and drops whole changes beyond", () => {
    const log = newLog({ eventIdsMax: 5 });
    log.append(invalidated("$1", "$2", "$3"));
    log.append(roomPurged());
    log.append(invalidated("$4", "$5"));
    expect(log.size).toMatchObject({ changes: 3, eventIds: 5 });
    log.append(rejected("$6"));
    expect(log.size).toMatchObject({ changes: 3, eventIds: 3 });
    expect(log.judge(at(0), A, ROOM)).toBe("tooOld");
    expect(log.judge(at(1), A, ROOM)).toBe("fenced");
  });

  it("keeps the fence of an event whose older change it drops", () => {
    const log = newLog({ eventIdsMax: 2 });
    log.append(invalidated("$a"));
    log.append(roomPurged());
    log.append(invalidated("$a"));
    log.append(roomPurged());
    log.append(invalidated("$x"));
    expect(log.judge(at(2), A, OTHER_ROOM)).toBe("fenced");
    expect(log.judge(at(3), A, ROOM)).toBe("fenced");
    expect(log.judge(at(4), A, ROOM)).toBe("stored");
  });

  it("holds nothing and refuses all that is older when a single change does not fit", () => {
    const log = newLog({ bytesMax: 4096 });
    log.append(invalidated("$x"));
    const after = log.append(largest("a"));
    expect(log.size).toEqual({ changes: 0, eventIds: 0, bytes: 0, bytesMax: 4096 });
    expect([log.judge(at(0), A, ROOM), log.judge(at(1), A, ROOM)]).toEqual(["tooOld", "tooOld"]);
    expect(log.resume(at(1))).toBe("tooOld");
    expect(log.judge(after, A, ROOM)).toBe("stored");
    expect([log.resume(after), log.readAfter(after)]).toEqual([undefined, undefined]);
    const next = log.append(invalidated("$y"));
    expect(log.readAfter(after)).toMatchObject({ from: after, to: next });
  });

  it("drops what no longer fits when its share shrinks, down to nothing, and fills up again when it grows", () => {
    const log = newLog();
    for (let n = 0; n < 10; n++) log.append(invalidated(`$${n}`));
    log.setBytesMax(4 * costOf(invalidated("$1")));
    expect(log.size).toMatchObject({ changes: 4, eventIds: 4 });
    expect([log.resume(at(5)), log.resume(at(6))]).toEqual(["tooOld", undefined]);
    log.setBytesMax(0);
    expect(log.size).toEqual({ changes: 0, eventIds: 0, bytes: 0, bytesMax: 0 });
    expect(log.judge(at(9), A, ROOM)).toBe("tooOld");
    expect(log.judge(at(10), A, ROOM)).toBe("stored");
    log.setBytesMax(1000);
    log.append(invalidated("$11"));
    expect(log.size).toMatchObject({ changes: 1, bytesMax: 1000 });
    expect(log.judge(at(10), eventId("$11"), ROOM)).toBe("fenced");
  });

  it("restarts empty in a new epoch", () => {
    const log = newLog();
    log.append(invalidated("$a"));
    log.append(roomPurged());
    log.append(homeserverPurged);
    log.readAfter(at(0));
    log.restart(at(0, epoch("b")));
    const start = at(0, epoch("b"));
    expect(log.position).toEqual(start);
    expect(log.size).toEqual({ changes: 0, eventIds: 0, bytes: 0, bytesMax: 1e6 });
    expect(log.judge(start, A, ROOM)).toBe("stored");
    expect(log.judge(at(0), A, ROOM)).toBe("wrongEpoch");
    expect(log.readAfter(start)).toBeUndefined();
    log.append(redacted("$b"));
    expect(log.readAfter(start)).toEqual({
      kind: "batch",
      from: start,
      to: at(1, epoch("b")),
      notices: [{ sequence: 1, change: redacted("$b") }],
    });
  });

  it("restarts empty after it was trimmed, too", () => {
    const log = newLog({ eventIdsMax: 1 });
    for (let n = 0; n < 5; n++) log.append(invalidated(`$${n}`));
    log.restart(at(0, epoch("b")));
    log.append(invalidated("$a"));
    expect(log.resume(at(0, epoch("b")))).toBeUndefined();
    expect(log.readAfter(at(0, epoch("b")))?.notices).toHaveLength(1);
  });

  it("shares a batch among all subscribers at the same position, until the next change", () => {
    const log = newLog();
    log.append(invalidated("$1"));
    log.append(invalidated("$2"));
    const batch = log.readAfter(at(0));
    expect(log.readAfter(at(0))).toBe(batch);
    expect(log.readAfter(at(1))).not.toBe(batch);
    expect(log.readAfter(at(0))).toBe(batch);
    log.append(invalidated("$3"));
    expect(log.readAfter(at(0))?.notices).toHaveLength(3);
    expect(batch?.notices).toHaveLength(2);
  });

  it("keeps but a few batches to share, from however many places it is read", () => {
    const log = newLog();
    for (let n = 0; n < 50; n++) log.append(invalidated(`$${n}`));
    const batches = Array.from({ length: 50 }, (_, from) => log.readAfter(at(from)));
    const kept = batches.filter((batch, from) => log.readAfter(at(from)) === batch);
    expect(kept.length).toBeLessThanOrEqual(4);
    expect(batches.every((batch, from) => batch?.from.sequence === from)).toBe(true);
  });

  it("releases forgotten changes at once, however large they are", async () => {
    const log = newLog({ bytesMax: 4096 });
    const forgotten: WeakRef<readonly EventId[]>[] = [];
    const append = () => {
      const change = largest("a");
      if (change.kind === "invalidated") forgotten.push(new WeakRef(change.eventIds));
      log.append(change);
    };
    for (let n = 0; n < 5; n++) append();
    await collectGarbage();
    expect(forgotten.filter((reference) => reference.deref() !== undefined)).toEqual([]);
    expect(log.size.bytes).toBe(0);
  });

  it("lets a notice through that is larger than a batch may be", () => {
    const log = newLog({ bytesMax: 1e9 });
    log.append(invalidated(...Array.from({ length: 1100 }, (_, n) => `$${n}`.padEnd(1020))));
    log.append(homeserverPurged);
    expect(log.readAfter(at(0))).toMatchObject({ from: at(0), to: at(1) });
  });

  it("counts what a change costs: its IDs, its room, their places in the fence", () => {
    const long = "x".repeat(101);
    expect(costOf(invalidated("$"))).toBeGreaterThan(costOf(homeserverPurged) + 60);
    expect(costOf(invalidated(long)) - costOf(invalidated("x"))).toBe(100);
    expect(costOf(invalidated("$1", "$2", "$3")) - costOf(invalidated("$1", "$2"))).toBe(
      costOf(invalidated("$1", "$2")) - costOf(invalidated("$1")),
    );
    expect(costOf(redacted("$a", long)) - costOf(redacted("$a", "x"))).toBe(100);
    expect(costOf({ ...rejected("$a"), roomId: roomId(long) } as Change)).toBe(
      costOf({ ...rejected("$a"), roomId: roomId("x") } as Change) + 100,
    );
    expect(costOf(roomPurged(roomId(long))) - costOf(roomPurged(roomId("x")))).toBe(100);
    expect(costOf(roomPurged(roomId("x")))).toBeGreaterThan(costOf(homeserverPurged) + 56);
    expect(costOf(homeserverPurged)).toBeGreaterThan(100);
  });
});
