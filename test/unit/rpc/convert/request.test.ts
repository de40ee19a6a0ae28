import { describe, expect, it } from "vitest";
import { CacheError } from "../../../../src/core/model/errors.js";
import * as wire from "../../../../src/gen/splitcache/v1/event_cache_service.js";
import * as convert from "../../../../src/rpc/convert/request.js";
import { checked, type RequestCheck } from "../../../../src/rpc/convert/request-check.js";
import { cachedEvent, HOMESERVER } from "../../../support/server/wire.js";

const EPOCH = Buffer.alloc(16, 1);
const POSITION = { epoch: EPOCH, sequence: 3n };
const LONG_ID = "é".repeat(510);
const TOO_LONG_ID = `${LONG_ID}x`;
const LONG_NAME = "h".repeat(255);

function convertWith<Request, Converted>(
  from: (check: RequestCheck, request: Request) => Converted,
  request: Request,
): Converted {
  return checked(undefined, (check) => from(check, request));
}

/** The fields that a conversion refuses. */
function refused<Request>(from: (check: RequestCheck, request: Request) => unknown, request: Request) {
  try {
    convertWith(from, request);
  } catch (error) {
    if (error instanceof CacheError && error.kind === "invalidArgument") {
      return error.violations.map(({ field }) => field);
    }
    throw error;
  }
  return [];
}

const read = (changes: Partial<wire.GetEventsRequest>) =>
  wire.GetEventsRequest.create({ homeserver: HOMESERVER, ...changes });
const putOne = (changes: Partial<wire.CachedEvent>): wire.PutEventsRequest => ({
  homeserver: HOMESERVER,
  events: [cachedEvent("$ok"), cachedEvent("$a", changes)],
  asOf: POSITION,
});
const redaction = (redactedBy: string, bytes = 0) => ({ redactedBy, redactedBody: Buffer.alloc(bytes) });

describe("a request", () => {
  it("becomes the core's, with positions in hexadecimal", () => {
    expect(convertWith(convert.fromGetEvents, read({ eventIds: ["$a"], minPosition: POSITION }))).toEqual({
      homeserver: HOMESERVER,
      eventIds: ["$a"],
      view: "redacted",
      minPosition: { epoch: EPOCH.toString("hex"), sequence: 3 },
    });
  });

  it("takes what was left out for what the contract says", () => {
    const { view, minPosition } = convertWith(convert.fromGetEvents, read({}));
    expect([view, minPosition]).toEqual(["redacted", undefined]);
    const event = convertWith(convert.fromPutEvents, putOne({ redaction: redaction("$r") })).events[1];
    expect(event?.redaction).toEqual({ redactedBy: "$r", redactedBody: undefined });
    const invalidate = { homeserver: HOMESERVER, roomId: "", eventIds: ["$a"] };
    expect(convertWith(convert.fromInvalidateEvents, invalidate).roomId).toBeUndefined();
  });

  it("keeps a sequence number that no log can reach ahead of every log", () => {
    const minPosition = { epoch: EPOCH, sequence: 2n ** 64n - 1n };
    expect(convertWith(convert.fromGetEvents, read({ minPosition })).minPosition?.sequence).toBe(
      Number.MAX_SAFE_INTEGER,
    );
  });
});

describe("the limits", () => {
  it("count bytes of UTF-8, and let through what just fits", () => {
    expect(refused(convert.fromGetEvents, read({ eventIds: [LONG_ID], homeserver: LONG_NAME }))).toEqual([]);
    expect(
      refused(convert.fromGetEvents, read({ eventIds: [TOO_LONG_ID], homeserver: `${LONG_NAME}h` })),
    ).toEqual(["homeserver", "event_ids[0]"]);
  });

  it.each<[string, Partial<wire.CachedEvent>, string[]]>([
    ["no event ID", { eventId: "" }, ["event_id"]],
    ["a long event ID", { eventId: TOO_LONG_ID }, ["event_id"]],
    ["no room ID", { roomId: "" }, ["room_id"]],
    ["no room version", { roomVersion: "" }, ["room_version"]],
    ["a room version of 32 bytes", { roomVersion: "v".repeat(32) }, []],
    ["a room version of 33 bytes", { roomVersion: "v".repeat(33) }, ["room_version"]],
    ["no body", { body: Buffer.alloc(0) }, ["body"]],
    ["a body of 262,144 bytes", { body: Buffer.alloc(262_144) }, []],
    ["a body of 262,145 bytes", { body: Buffer.alloc(262_145) }, ["body"]],
    ["a reason without rejection", { rejectedReason: "r" }, []],
    ["a reason of 1,024 bytes", { rejected: true, rejectedReason: "r".repeat(1024) }, []],
    ["a reason of 1,025 bytes", { rejected: true, rejectedReason: "r".repeat(1025) }, ["rejected_reason"]],
    ["a redaction by nobody", { redaction: redaction("") }, ["redaction.redacted_by"]],
    ["a long redacted body", { redaction: redaction("$r", 262_145) }, ["redaction.redacted_body"]],
    ["metadata of 16,384 bytes", { internalMetadata: Buffer.alloc(16_384) }, []],
    ["metadata of 16,385 bytes", { internalMetadata: Buffer.alloc(16_385) }, ["internal_metadata"]],
  ])("of an event, with %s", (_, changes, fields) => {
    expect(refused(convert.fromPutEvents, putOne(changes))).toEqual(
      fields.map((field) => `events[1].${field}`),
    );
  });

  it("of lists", () => {
    const ids = (count: number) => Array.from({ length: count }, () => "$a");
    expect(refused(convert.fromGetEvents, read({ eventIds: ids(501) }))).toEqual(["event_ids"]);
    const invalidate = { homeserver: HOMESERVER, roomId: "" };
    expect(refused(convert.fromInvalidateEvents, { ...invalidate, eventIds: [] })).toEqual(["event_ids"]);
    expect(refused(convert.fromInvalidateEvents, { ...invalidate, eventIds: ids(501) })).toEqual([
      "event_ids",
    ]);
    const events = Array.from({ length: 501 }, () => cachedEvent("$a"));
    expect(refused(convert.fromPutEvents, { homeserver: HOMESERVER, events, asOf: POSITION })).toEqual([
      "events",
    ]);
  });

  it("of everything else", () => {
    const asOf = { epoch: Buffer.alloc(15), sequence: 0n };
    const set = { homeserver: "", roomId: TOO_LONG_ID, eventId: "", asOf };
    const about = ["homeserver", "room_id", "event_id"];
    expect(refused(convert.fromSetRedaction, { ...set, redaction: undefined }).sort()).toEqual(
      [...about, "redaction", "as_of.epoch"].sort(),
    );
    expect(
      refused(convert.fromSetRejected, { ...set, rejected: false, rejectedReason: "r".repeat(1025) }).sort(),
    ).toEqual([...about, "rejected_reason", "as_of.epoch"].sort());
    expect(
      refused(convert.fromPutEvent, { homeserver: "", event: undefined, asOf: undefined }).sort(),
    ).toEqual(["homeserver", "event", "as_of"].sort());
    expect(refused(convert.fromPurgeRoom, { homeserver: "", roomId: "" })).toEqual(["homeserver", "room_id"]);
    expect(refused(convert.fromPurgeHomeserver, { homeserver: "", newEpoch: false })).toEqual(["homeserver"]);
    expect(
      refused(convert.fromSubscribe, {
        homeserver: "",
        resumeAfter: asOf,
        subscriber: "s".repeat(256),
      }).sort(),
    ).toEqual(["homeserver", "resume_after.epoch", "subscriber"]);
    const view = 3 as wire.RedactionView;
    expect(refused(convert.fromGetEvents, read({ redactionView: view }))).toEqual(["redaction_view"]);
  });

  it("name the first invalid field, and never contain the client's data", () => {
    const secret = `secret${"s".repeat(1020)}`;
    const attempt = () => convertWith(convert.fromGetEvents, read({ eventIds: [secret] }));
    expect(attempt).toThrow("event_ids[0] must have at most 1020 bytes, has 1026");
  });
});
