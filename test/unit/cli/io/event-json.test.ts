import { describe, expect, it } from "vitest";
import { formatEventJson, parseEventJson } from "../../../../src/cli/io/event-json.js";

const LEAST = { event_id: "$e", room_id: "!r", room_version: "10", body: '{"type":"m.x"}' };

function parse(fields: Record<string, unknown>) {
  return parseEventJson(JSON.stringify(fields), "line 1");
}

describe("parseEventJson", () => {
  it("reads an event of which only the least is given", () => {
    expect(parse(LEAST)).toEqual({
      eventId: "$e",
      roomId: "!r",
      roomVersion: "10",
      body: Buffer.from('{"type":"m.x"}'),
      rejected: false,
      rejectedReason: "",
      redaction: undefined,
      internalMetadata: Buffer.alloc(0),
    });
  });

  it("reads a line of a recorded corpus as it is", () => {
    const event = parse({
      n: 7,
      ...LEAST,
      body: undefined,
      json: "{}",
      internal_metadata: '{"token_id":6}',
      rejected_reason: null,
      redacted_by: "$r",
      redacted_json: '{"a":1}',
      outlier: false,
    });
    expect(event.body.toString()).toBe("{}");
    expect(event.rejected).toBe(false);
    expect(event.redaction).toEqual({ redactedBy: "$r", redactedBody: Buffer.from('{"a":1}') });
    expect(event.internalMetadata.toString()).toBe('{"token_id":6}');
  });

  it("takes an event with a reason for rejected", () => {
    expect(parse({ ...LEAST, rejected_reason: "auth_error" })).toMatchObject({
      rejected: true,
      rejectedReason: "auth_error",
    });
  });

  it("leaves a redacted body that is not given to the sidecar", () => {
    expect(parse({ ...LEAST, redacted_by: "$r" }).redaction?.redactedBody).toHaveLength(0);
  });

  it.each([
    ["[1]", "expected a JSON object"],
    ["null", "expected a JSON object"],
    [JSON.stringify({ ...LEAST, room_id: undefined }), "room_id is missing"],
    [JSON.stringify({ ...LEAST, body: undefined }), "body is missing"],
    [JSON.stringify({ ...LEAST, body: { type: "m.x" } }), "body must be a string"],
    [JSON.stringify({ ...LEAST, rejected: "yes" }), "rejected must be true or false"],
    [JSON.stringify({ ...LEAST, event_id: "$\ud800" }), "event_id has half of a surrogate pair"],
    [JSON.stringify({ ...LEAST, body: "\udc80" }), "body has half of a surrogate pair"],
    [JSON.stringify({ ...LEAST, body_base64: "e30", body: undefined }), "body_base64 must be base64"],
    [JSON.stringify({ ...LEAST, internal_metadata_base64: "e*30=" }), "internal_metadata_base64 must be"],
  ])("refuses %s with its place", (line, problem) => {
    expect(() => parseEventJson(line, "f, line 3")).toThrow(`f, line 3: ${problem}`);
  });

  it("refuses what is no JSON with its place", () => {
    expect(() => parseEventJson("not json", "f, line 3")).toThrow("f, line 3 is not JSON");
  });
});

describe("formatEventJson", () => {
  it("writes what parseEventJson reads back, every field of it", () => {
    const event = parse({
      ...LEAST,
      rejected_reason: "why",
      redacted_by: "$r",
      redacted_body: "{}",
      internal_metadata: "m",
    });
    expect(parseEventJson(formatEventJson(event), "line 1")).toEqual(event);
  });

  it("keeps bytes that are not UTF-8, and a byte order mark", () => {
    const body = Buffer.from([0xff, 0x00]);
    const internalMetadata = Buffer.from([0xef, 0xbb, 0xbf, 0x61]);
    const event = { ...parse(LEAST), body, internalMetadata };
    expect(formatEventJson(event)).toContain('"body_base64":"/wA="');
    expect(parseEventJson(formatEventJson(event), "line 1")).toEqual(event);
  });

  it("writes one line whatever the text holds", () => {
    expect(formatEventJson({ ...parse(LEAST), body: Buffer.from("a\nb\u2028c") })).not.toContain("\n");
  });
});
