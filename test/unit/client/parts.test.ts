import { status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { suspendAwareClock } from "../../../src/client/clock.js";
import { EpochHistory } from "../../../src/client/epoch-history.js";
import { statusError } from "../../../src/client/errors.js";
import { callsOf, outboxRow } from "../../../src/client/outbox/announcement.js";
import { formatPosition, parsePosition } from "../../../src/client/position.js";
import { at } from "../../support/client/near-under-test.js";

describe("suspendAwareClock", () => {
  it("continues while the machine is suspended, and never goes back", () => {
    let [monotonic, wall] = [100, 5000];
    let endTurn: () => void = () => undefined;
    const clock = suspendAwareClock(
      () => monotonic,
      () => wall,
      (callback) => {
        endTurn = callback;
      },
    );
    const advance = (monotonicMs: number, wallMs: number) => {
      endTurn();
      monotonic += monotonicMs;
      wall += wallMs;
      return clock();
    };
    expect(advance(10, 10)).toBe(110);
    expect(advance(1, 60_001)).toBe(60_111);
    expect(advance(5, 5)).toBe(60_116);
    // The wall clock is set back, then the machine is suspended.
    expect(advance(5, -100_000)).toBe(60_121);
    expect(advance(5, 10_005)).toBe(70_126);
  });
});

describe("EpochHistory", () => {
  it("tells an epoch that came back from a reply that was only late", () => {
    const epochs = new EpochHistory();
    const before = epochs.mark;
    expect(epochs.sees("a", before)).toBe(true);
    const inA = epochs.mark;
    expect(epochs.sees("b", epochs.mark)).toBe(true);
    expect(epochs.sees("a", inA)).toBe(true);
    expect(epochs.current).toBe("b");
    expect(epochs.sees("a", epochs.mark)).toBe(false);
  });

  it("takes no new epoch from a late reply", () => {
    const epochs = new EpochHistory();
    epochs.sees("a");
    const inA = epochs.mark;
    epochs.sees("c");
    expect(epochs.sees("b", inA)).toBe(true);
    expect(epochs.current).toBe("c");
    expect(epochs.sees("c")).toBe(true);
  });
});

describe("announcements", () => {
  it("are read as they were written, in calls of at most 500 events", () => {
    const ids = Array.from({ length: 501 }, (_, n) => `$${n}`);
    const { id, announcement } = outboxRow({ events: { "!r": ids, "": ["$x"] }, rooms: ["!p"] });
    expect(id).toMatch(/^[0-9a-f]{32}$/);
    expect(callsOf(announcement)).toEqual([
      { kind: "room", roomId: "!p" },
      { kind: "events", roomId: "!r", eventIds: ids.slice(0, 500) },
      { kind: "events", roomId: "!r", eventIds: ["$500"] },
      { kind: "events", roomId: "", eventIds: ["$x"] },
    ]);
    expect(() => outboxRow({ events: { "!r": [] } })).toThrow("must name an event");
  });

  it.each([
    "not JSON",
    "null",
    "[]",
    "{}",
    '{"version":2,"rooms":["!r"],"events":{}}',
    '{"version":1,"rooms":[],"events":{}}',
    '{"version":1,"rooms":[1],"events":{}}',
    '{"version":1,"rooms":[],"events":{"!r":"$a"}}',
    outboxRow({ homeserver: true }).announcement,
  ])("mean everything if they say so or cannot be read: %s", (text) => {
    expect(callsOf(text)).toEqual([{ kind: "homeserver" }]);
  });
});

describe("positions", () => {
  it("are stored as text", () => {
    expect(parsePosition(formatPosition(at(7)))).toEqual(at(7));
    expect(() => parsePosition("abc:1")).toThrow("32 hexadecimal digits");
  });
});

describe("statusError", () => {
  it("permits a repeat after UNAVAILABLE, and after RESOURCE_EXHAUSTED with RetryInfo alone", () => {
    const retryInfo = { typeUrl: "type.googleapis.com/google.rpc.RetryInfo", value: Buffer.alloc(0) };
    expect(statusError(status.UNAVAILABLE, "", []).retryAfterMs).toBeGreaterThan(0);
    expect(statusError(status.RESOURCE_EXHAUSTED, "", [retryInfo]).retryAfterMs).toBeGreaterThan(0);
    for (const code of [status.RESOURCE_EXHAUSTED, status.INVALID_ARGUMENT, status.INTERNAL])
      expect(statusError(code, "", []).retryAfterMs).toBeUndefined();
  });
});
