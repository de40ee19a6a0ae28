import { describe, expect, it } from "vitest";
import type { Change, EventId, RoomId } from "../../../../../src/core/model/types.js";
import { decodeChange, encodeChange, weightOf } from "../../../../../src/log/postgres/codec/change-codec.js";

const TOKEN = "0123456789abcdef";
const roomId = "!räum:x" as RoomId;
const eventId = "$1" as EventId;
const CHANGES: Change[] = [
  { kind: "redacted", roomId, eventId, redactedBy: "$r" as EventId },
  { kind: "redacted", roomId: undefined, eventId, redactedBy: "$r" as EventId },
  { kind: "rejected", roomId, eventId, rejected: true },
  { kind: "rejected", roomId: undefined, eventId, rejected: false },
  { kind: "invalidated", roomId, eventIds: ["$a", "$\0 \u{1f600}"] as EventId[] },
  { kind: "invalidated", roomId: undefined, eventIds: [eventId] },
  { kind: "roomPurged", roomId },
  { kind: "homeserverPurged" },
];

it.each(CHANGES)("brings back %o", (change) => {
  expect(decodeChange(encodeChange(TOKEN, change))).toEqual({ token: TOKEN, change });
});

it("counts event IDs, and at least one", () => {
  expect(CHANGES.map(weightOf)).toEqual([1, 1, 1, 1, 2, 1, 1, 1]);
});

describe("takes for unknown", () => {
  const envelope = (fields: unknown, version = 1) => {
    const bytes = encodeChange(TOKEN, { kind: "homeserverPurged" }).subarray(0, 9);
    bytes[0] = version;
    return Buffer.concat([bytes, Buffer.from(typeof fields === "string" ? fields : JSON.stringify(fields))]);
  };

  it.each([
    ["another version", envelope(["homeserverPurged"], 2)],
    ["another kind", envelope(["renamed", "!r", "$1"])],
    ["a field more", envelope(["roomPurged", "!r", true])],
    ["a field less", envelope(["redacted", "!r", "$1"])],
    ["a field of another type", envelope(["rejected", "!r", "$1", "true"])],
    ["a room that is no text", envelope(["invalidated", 7, ["$1"]])],
    ["no event ID", envelope(["invalidated", "!r", []])],
    ["an empty event ID", envelope(["invalidated", "!r", ["$1", ""]])],
    ["no list", envelope({ kind: "homeserverPurged" })],
    ["a room purge without a room", envelope(["roomPurged", null])],
    ["text that is no JSON", envelope("[")],
    ["no bytes", Buffer.alloc(0)],
    ["a header alone", envelope("").subarray(0, 9)],
  ])("%s", (_, bytes) => {
    expect(decodeChange(bytes).change).toBeUndefined();
  });
});
