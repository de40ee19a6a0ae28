import { describe, expect, it } from "vitest";
import { redactEvent } from "../../../../src/core/redaction/redaction.js";
import { redact, VERSIONS, versionsThatKeep } from "../../../support/core/redact.js";

const until = (last: number) => VERSIONS.slice(0, last);

describe("the event itself", () => {
  const everyMember = {
    event_id: 1,
    type: "m.room.message",
    room_id: 1,
    sender: 1,
    state_key: 1,
    content: {},
    hashes: 1,
    signatures: 1,
    depth: 1,
    prev_events: 1,
    auth_events: 1,
    origin_server_ts: 1,
    prev_state: 1,
    origin: 1,
    membership: 1,
    redacts: 1,
    unsigned: { age_ts: 1, replaces_state: 1 },
    age: 1,
    __proto__own: 1,
    "m.relates_to": 1,
    constructor: 1,
  };

  it.each(["redacts", "unsigned", "age", "m.relates_to", "constructor", "__proto__own"])(
    "loses %s",
    (key) => {
      expect(versionsThatKeep(everyMember, [key])).toEqual([]);
    },
  );

  it.each(["prev_state", "origin", "membership"])("keeps %s up to version 10", (key) => {
    expect(versionsThatKeep(everyMember, [key])).toEqual(until(10));
  });

  it.each([
    ...["event_id", "type", "room_id", "sender", "state_key", "content", "hashes", "signatures", "depth"],
    ...["prev_events", "auth_events", "origin_server_ts"],
  ])("keeps %s", (key) => {
    expect(versionsThatKeep(everyMember, [key])).toEqual(VERSIONS);
  });

  it("of a room's creation has no room ID from version 12 on, where the ID is made from the event", () => {
    expect(versionsThatKeep({ type: "m.room.create", room_id: "!a" }, ["room_id"])).toEqual(until(11));
  });
});

describe("what is kept", () => {
  it("is cut out of the original byte for byte, in its order", () => {
    const users = '{ "@\\u0061:b" : 9007199254740993 , "é😀":-0.0,"c":1E400,"\\ud800":"\\/","__proto__":[] }';
    const event = `\n{"zzz":{},\t"depth" : 1.10,"content": {"users":\n${users},"x":1, "b\\u0061n":1e0 },"type":"m.room.power_levels"}\r `;
    expect(redact(event, "1")).toBe(
      `{"depth" : 1.10,"content": {"users":\n${users},"b\\u0061n":1e0},"type":"m.room.power_levels"}`,
    );
  });

  it("depends on what keys and types say, not on how they are escaped", () => {
    const event =
      '{"\\u0074ype":"m.room.\\u006dember","c\\u006fntent":{"m\\u0065mbership":"join","a":1},"\\u0061":1}';
    expect(redact(event, "10")).toBe(
      '{"\\u0074ype":"m.room.\\u006dember","c\\u006fntent":{"m\\u0065mbership":"join"}}',
    );
  });

  it("does not depend on where the type stands", () => {
    expect(redact('{"content":{"creator":1,"b":2},"type":"m.room.create"}', "1")).toBe(
      '{"content":{"creator":1},"type":"m.room.create"}',
    );
    expect(redact('{"content":{"type":"m.room.create","creator":1},"type":"x"}', "1")).toBe(
      '{"content":{},"type":"x"}',
    );
  });

  it("is in memory of its own, which leaves the original as it was", () => {
    const text = '{"type":"m.room.message","content":{"body":"é"}}';
    const message = Buffer.from(`before${text}after`);
    const redacted = redactEvent(message.subarray(6, 6 + Buffer.byteLength(text)), "10")!;
    expect(redacted.toString()).toBe('{"type":"m.room.message","content":{}}');
    expect(redacted.buffer.byteLength).toBe(redacted.byteLength);
    expect(message.toString()).toBe(`before${text}after`);
  });

  it("may be deep", () => {
    for (const [opening, inmost, closing] of [
      ["[", "", "]"],
      ['{"a":', "1", "}"],
    ] as const) {
      const deep = opening.repeat(998) + inmost + closing.repeat(998);
      const event = `{"type":"m.room.create","content":{"deep":${deep}},"other":${deep}}`;
      expect(redact(event, "11") === `{"type":"m.room.create","content":{"deep":${deep}}}`).toBe(true);
      expect(redact(event, "10")).toBe('{"type":"m.room.create","content":{}}');
    }
  });
});

describe("an event cannot be redacted", () => {
  it.each(["", "0", "13", "01", "1 ", "1.0", "org.matrix.msc2176", "__proto__", "constructor"])(
    "in a room of the unknown version %j",
    (version) => {
      expect(redact('{"type":"m.room.message","content":{}}', version)).toBeUndefined();
    },
  );

  it.each([
    ["nothing", ""],
    ["whitespace", " "],
    ["an array", "[]"],
    ["a string", '"type"'],
    ["null", "null"],
    ["two objects", '{"type":"a"}{"type":"a"}'],
    ["an object with something behind it", '{"type":"a"},'],
    ["an object with a NUL behind it", '{"type":"a"}\u0000'],
    ["an object behind a byte order mark", '\ufeff{"type":"a"}'],
    ["an object without a type", '{"content":{}}'],
    ["an object whose type is a number", '{"type":1,"content":{}}'],
    ["an object whose type is null", '{"type":null,"content":{}}'],
    ["an object with a member that is not closed", '{"type":"a","content":{"body":[}}'],
    ["an object with a number that JSON has not", '{"type":"a","content":{"n":01}}'],
    ["an object with a control character in a string", '{"type":"a","content":{"body":"\n"}}'],
    ["an object with its type twice", '{"type":"a","type":"a"}'],
    ["an object with its content twice, once escaped", '{"type":"a","content":{},"c\\u006fntent":{}}'],
    ["an object with a key twice in what is dropped", '{"type":"a","content":{"b":{"c":1,"c":2}}}'],
    ["an object that nests too deeply", `{"type":"a","content":{"b":${"[".repeat(999)}${"]".repeat(999)}}}`],
    ["an object with too many values", `{"type":"a","content":{"b":[${"[],".repeat(20_000)}1]}}`],
    ["an object with a key twice in what is kept", '{"type":"a","hashes":[{"c":1,"d":3,"c":2}]}'],
  ])("if its body is %s", (_what, text) => {
    expect(redact(text, "10")).toBeUndefined();
  });

  it.each([
    ["a lone byte", [0xff]],
    ["a truncated character", [0xc3]],
    ["an overlong form", [0xc0, 0xaf]],
    ["a surrogate", [0xed, 0xa0, 0x80]],
    ["a code point beyond the last", [0xf4, 0x90, 0x80, 0x80]],
  ])("if its body is not UTF-8: %s", (_what, bytes) => {
    const [before, after] = ['{"type":"a","content":{"body":"', '"}}'];
    expect(redact(`${before}${after}`, "10")).toBeDefined();
    const body = Buffer.concat([Buffer.from(before), Buffer.from(bytes), Buffer.from(after)]);
    expect(redactEvent(body, "10")).toBeUndefined();
  });

  it("if its body is longer than 16 MiB", () => {
    const event = '{"type":"a"}';
    const body = Buffer.alloc(16 * 1024 * 1024 + 1, " ");
    body.write(event);
    expect(redactEvent(body.subarray(0, -1), "10")?.toString()).toBe(event);
    expect(redactEvent(body, "10")).toBeUndefined();
  });
});
