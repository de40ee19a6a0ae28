import { describe, expect, it } from "vitest";
import { type CachedEvent, RedactionView } from "../../../../src/gen/splitcache/v1/event_cache_service.js";
import { differingField } from "../../../../tools/replay/reply-check.js";

const { ORIGINAL, REDACTED } = RedactionView;
const NONE = Buffer.alloc(0);
const PLAIN: CachedEvent = {
  eventId: "$e",
  roomId: "!r",
  roomVersion: "10",
  body: Buffer.from('{"content":{"body":"secret"}}'),
  rejected: false,
  rejectedReason: "",
  redaction: undefined,
  internalMetadata: Buffer.from("m"),
};
const PRUNED = Buffer.from('{"content":{},"unsigned":{"age_ts":1}}');
const STORED: CachedEvent = { ...PLAIN, redaction: { redactedBy: "$r", redactedBody: PRUNED } };
const SHOWN_REDACTED: CachedEvent = {
  ...PLAIN,
  body: PRUNED,
  redaction: { redactedBy: "$r", redactedBody: NONE },
};

describe("differingField", () => {
  it("finds nothing where all is as stored", () => {
    expect(differingField(PLAIN, PLAIN, REDACTED, "given")).toBeUndefined();
    expect(differingField(PLAIN, PLAIN, ORIGINAL, "given")).toBeUndefined();
    expect(differingField(STORED, STORED, ORIGINAL, "given")).toBeUndefined();
    expect(differingField(SHOWN_REDACTED, STORED, REDACTED, "given")).toBeUndefined();
  });

  const wrong: [string, Partial<CachedEvent>][] = [
    ["event_id", { eventId: "$x" }],
    ["room_id", { roomId: "!x" }],
    ["room_version", { roomVersion: "9" }],
    ["body", { body: Buffer.from("{}") }],
    ["rejected", { rejected: true }],
    ["rejected_reason", { rejectedReason: "x" }],
    ["redacted_by", { redaction: { redactedBy: "$x", redactedBody: NONE } }],
    ["internal_metadata", { internalMetadata: Buffer.from("x") }],
  ];
  it.each(wrong)("finds a wrong %s", (field, change) => {
    expect(differingField({ ...PLAIN, ...change }, PLAIN, ORIGINAL, "given")).toBe(field);
  });

  it("finds an original that shows in the redacted view, as the body or beside it", () => {
    expect(differingField({ ...SHOWN_REDACTED, body: PLAIN.body }, STORED, REDACTED, "made")).toBe("body");
    const beside = { redactedBy: "$r", redactedBody: PLAIN.body };
    expect(differingField({ ...SHOWN_REDACTED, redaction: beside }, STORED, REDACTED, "made")).toBe(
      "redacted_body",
    );
  });

  it("finds an event that is shown as not redacted", () => {
    expect(differingField(PLAIN, STORED, ORIGINAL, "given")).toBe("redacted_by");
  });

  it("compares a redacted body that the sidecar made as JSON without unsigned", () => {
    const made = { ...SHOWN_REDACTED, body: Buffer.from('{ "content": {} }') };
    expect(differingField(made, STORED, REDACTED, "made")).toBeUndefined();
    expect(differingField(made, STORED, REDACTED, "given")).toBe("body");
    const wrongly = { ...SHOWN_REDACTED, body: Buffer.from("not JSON") };
    expect(differingField(wrongly, STORED, REDACTED, "made")).toBe("body");
  });
});
