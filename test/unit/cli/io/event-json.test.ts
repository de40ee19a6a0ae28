import { describe, expect, it } from "vitest";
import { eventFields, parseEventJson } from "../../../../src/cli/io/event-json.js";
import type { CachedEvent } from "../../../../src/gen/splitcache/v1/event_cache_service.js";

const LEAST = { event_id: "$e", room_id: "!r", room_version: "10", body: '{"type":"m.x"}' };

function parse(fields: Record<string, unknown>) {
  return parseEventJson(JSON.stringify(fields), "line 1");
}

describe("parseEventJson", () => {
  it("reads an event with the required fields alone", () => {
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

  it("reads a line of a recorded corpus", () => {
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

  it("reads an event with a rejected reason as rejected", () => {
    expect(parse({ ...LEAST, rejected_reason: "auth_error" })).toMatchObject({
      rejected: true,
      rejectedReason: "auth_error",
    });
  });

  it("leaves a missing redacted body to the sidecar", () => {
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
  ])("refuses %s and names the line and the field", (line, problem) => {
    expect(() => parseEventJson(line, "f, line 3")).toThrow(`f, line 3: ${problem}`);
  });

  it("refuses text that is not JSON and names the line", () => {
    expect(() => parseEventJson("not json", "f, line 3")).toThrow("f, line 3 is not JSON");
  });
});

describe("eventFields", () => {
  const formatEventJson = (event: CachedEvent) => JSON.stringify(eventFields(event));

  it("writes every field so that parseEventJson reads it back", () => {
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

  it("writes one line for a text with line feeds", () => {
    expect(formatEventJson({ ...parse(LEAST), body: Buffer.from("a\nb\u2028c") })).not.toContain("\n");
  });
});
