import { describe, expect, it } from "vitest";
import { redact, VERSIONS, versionsThatKeep } from "../../../support/core/redact.js";

const since = (first: number) => VERSIONS.slice(first - 1);

const until = (last: number) => VERSIONS.slice(0, last);

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

  it("that is not an object becomes an empty object, and missing content stays missing", () => {
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
