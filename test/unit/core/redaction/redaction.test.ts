import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { redactEvent } from "../../../../src/core/redaction/redaction.js";
import { readJsonLines } from "../../../support/shared-data.js";

const VERSIONS = Array.from({ length: 12 }, (_, index) => String(index + 1));

/** The redacted text, or undefined. */
function redact(event: string, roomVersion: string): string | undefined {
  return redactEvent(Buffer.from(event), roomVersion)?.toString();
}

/** The versions in which a member of an event is kept. */
function versionsThatKeep(event: object, path: readonly string[]): string[] {
  return VERSIONS.filter((version) => {
    let value: unknown = JSON.parse(redact(JSON.stringify(event), version)!);
    for (const key of path) value = new Map(Object.entries(value ?? {})).get(key);
    return value !== undefined;
  });
}

const since = (first: number) => VERSIONS.slice(first - 1);
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

describe("the content", () => {
  it.each<[string, string, string[]]>([
    ["m.room.member", "membership", VERSIONS],
    ["m.room.member", "join_authorised_via_users_server", since(9)],
    ["m.room.member", "displayname", []],
    ["m.room.create", "creator", VERSIONS],
    ["m.room.create", "room_version", since(11)],
    ["m.room.create", "anything", since(11)],
    ["m.room.join_rules", "join_rule", VERSIONS],
    ["m.room.join_rules", "allow", since(8)],
    ["m.room.join_rules", "deny", []],
    ["m.room.power_levels", "ban", VERSIONS],
    ["m.room.power_levels", "events", VERSIONS],
    ["m.room.power_levels", "events_default", VERSIONS],
    ["m.room.power_levels", "kick", VERSIONS],
    ["m.room.power_levels", "redact", VERSIONS],
    ["m.room.power_levels", "state_default", VERSIONS],
    ["m.room.power_levels", "users", VERSIONS],
    ["m.room.power_levels", "users_default", VERSIONS],
    ["m.room.power_levels", "invite", since(11)],
    ["m.room.power_levels", "notifications", []],
    ["m.room.aliases", "aliases", until(5)],
    ["m.room.history_visibility", "history_visibility", VERSIONS],
    ["m.room.redaction", "redacts", since(11)],
    ["m.room.redaction", "reason", []],
    ["m.room.message", "body", []],
    ["m.room.message", "membership", []],
    ["m.room.server_acl", "allow", []],
    ["M.ROOM.MEMBER", "membership", []],
    ["constructor", "name", []],
    ["__proto__", "membership", []],
    ["", "creator", []],
  ])("of %j keeps %s in the versions that say so", (type, key, versions) => {
    expect(versionsThatKeep({ type, content: { [key]: { value: 1 } } }, ["content", key])).toEqual(versions);
  });

  it("of a member keeps what is signed of a third-party invite from version 11 on, and no more of it", () => {
    const invite = '"third_party_invite":{"display_name":"a","signed":{"token":"t"},"x":1}';
    const event = `{"type":"m.room.member","content":{"membership":"invite",${invite}}}`;
    for (const version of until(10)) {
      expect(redact(event, version)).toBe('{"type":"m.room.member","content":{"membership":"invite"}}');
    }
    for (const version of since(11)) {
      expect(redact(event, version)).toBe(
        '{"type":"m.room.member","content":{"membership":"invite","third_party_invite":{"signed":{"token":"t"}}}}',
      );
    }
  });

  it("of a member keeps an invite without anything signed as an empty object, and nothing that is no object", () => {
    const withInvite = (invite: string) =>
      `{"type":"m.room.member","content":{"third_party_invite":${invite}}}`;
    expect(redact(withInvite('{"display_name":"a"}'), "11")).toBe(withInvite("{}"));
    for (const invite of ["null", "1", '"signed"', '[{"signed":1}]', "true"]) {
      expect(redact(withInvite(invite), "11")).toBe('{"type":"m.room.member","content":{}}');
    }
  });

  it("that is not an object becomes an empty one, and one that is missing stays so", () => {
    for (const type of ["m.room.create", "m.room.member", "m.room.message"]) {
      for (const content of ["null", "1", '"membership"', '["membership"]', "true"]) {
        for (const version of ["10", "11"]) {
          expect(redact(`{"type":"${type}","content":${content}}`, version)).toBe(
            `{"type":"${type}","content":{}}`,
          );
        }
      }
      expect(redact(`{"type":"${type}"}`, "11")).toBe(`{"type":"${type}"}`);
    }
  });
});

/** Events as the specification has them in rooms of versions 11 and 12, each with what its text says remains. */
describe("an event of version 11 or 12", () => {
  const common =
    '"auth_events":["$a","$b"],"depth":7,"hashes":{"sha256":"aGFzaA"},"origin_server_ts":1838188000,' +
    '"prev_events":["$c"],"sender":"@alice:example.com","signatures":{"example.com":{"ed25519:1":"c2ln"}}';
  const dropped =
    '"origin":"example.com","membership":"join","prev_state":[],"redacts":"$d","unsigned":{"age":4612}';

  it.each([
    ["m.room.message", '{"body":"secret","msgtype":"m.text"}', "{}"],
    [
      "m.room.member",
      '{"membership":"invite","displayname":"Bob","reason":"x","join_authorised_via_users_server":"@a:b",' +
        '"third_party_invite":{"display_name":"bob","signed":{"mxid":"@bob:b","token":"t","signatures":{}}}}',
      '{"membership":"invite","join_authorised_via_users_server":"@a:b",' +
        '"third_party_invite":{"signed":{"mxid":"@bob:b","token":"t","signatures":{}}}}',
    ],
    [
      "m.room.join_rules",
      '{"join_rule":"restricted","allow":[{"type":"m.room_membership","room_id":"!a:b"}],"x":1}',
      '{"join_rule":"restricted","allow":[{"type":"m.room_membership","room_id":"!a:b"}]}',
    ],
    [
      "m.room.power_levels",
      '{"ban":50,"events":{"m.room.name":100},"events_default":0,"invite":50,"kick":50,"notifications":{"room":20},' +
        '"redact":50,"state_default":50,"users":{"@a:b":100},"users_default":0}',
      '{"ban":50,"events":{"m.room.name":100},"events_default":0,"invite":50,"kick":50,' +
        '"redact":50,"state_default":50,"users":{"@a:b":100},"users_default":0}',
    ],
    ["m.room.aliases", '{"aliases":["#a:b"]}', "{}"],
    ["m.room.history_visibility", '{"history_visibility":"shared","x":1}', '{"history_visibility":"shared"}'],
    ["m.room.redaction", '{"redacts":"$d","reason":"spam"}', '{"redacts":"$d"}'],
  ])("keeps of %s what the specification lists", (type, content, kept) => {
    const event = (content: string, ...others: string[]) =>
      `{${[common, `"content":${content}`, `"room_id":"!r","state_key":"","type":"${type}"`, ...others].join()}}`;
    for (const version of ["11", "12"]) {
      expect(redact(event(content, dropped), version)).toBe(event(kept));
    }
  });

  it("keeps all the content of m.room.create", () => {
    const content =
      '{"m.federate":true,"room_version":"12","type":"m.space","predecessor":{"room_id":"!o"},' +
      '"additional_creators":["@b:example.com"],"creator":"@a:b","org.example":[1.50]}';
    const create = (roomId: string, others = "") =>
      `{${common},"content":${content},${roomId}"state_key":"","type":"m.room.create"${others}}`;
    expect(redact(create('"room_id":"!r:b",', `,${dropped}`), "11")).toBe(create('"room_id":"!r:b",'));
    expect(redact(create("", `,${dropped}`), "12")).toBe(create(""));
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

  describe("if its body is cut short", () => {
    const samples: { readonly room_version: string; readonly json: string }[] = [];
    beforeAll(async () => {
      const path = join(import.meta.dirname, "../../../fixtures/redaction/corpus-sample.jsonl");
      for await (const event of readJsonLines<(typeof samples)[number]>(path)) samples.push(event);
    });

    it("anywhere", () => {
      for (const { json, room_version } of samples.slice(0, 10)) {
        const body = Buffer.from(json);
        for (let end = 0; end < body.length; end++) {
          expect(
            redactEvent(body.subarray(0, end), room_version) === undefined,
            `${end} bytes of ${json}`,
          ).toBe(true);
        }
        expect(redactEvent(body, room_version)).toBeDefined();
      }
    });
  });
});
