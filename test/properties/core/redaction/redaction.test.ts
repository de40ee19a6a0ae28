import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { redactEvent } from "../../../../src/core/redaction/redaction.js";
import {
  canonicalJson,
  type JsonObject,
  type JsonValue,
  parseJson,
} from "../../../support/canonical-json.js";

const TOP_LEVEL_KEYS = [
  ...[
    "event_id",
    "room_id",
    "sender",
    "state_key",
    "hashes",
    "signatures",
    "depth",
    "prev_events",
    "auth_events",
  ],
  ...["origin_server_ts", "prev_state", "origin", "membership", "unsigned", "redacts", "age", "__proto__"],
];
const CONTENT_KEYS = [
  ...[
    "membership",
    "join_authorised_via_users_server",
    "third_party_invite",
    "creator",
    "join_rule",
    "allow",
  ],
  ...[
    "ban",
    "events",
    "events_default",
    "kick",
    "redact",
    "state_default",
    "users",
    "users_default",
    "invite",
  ],
  ...["aliases", "history_visibility", "redacts", "signed", "body", "__proto__", "constructor", "type"],
];
const TYPES = [
  ...[
    "member",
    "create",
    "join_rules",
    "power_levels",
    "aliases",
    "history_visibility",
    "redaction",
    "message",
  ].map((name) => `m.room.${name}`),
  ...["constructor", "__proto__", ""],
];

/** JSON text with whitespace and escapes wherever they may be. */
const whitespace = fc.string({ unit: fc.constantFrom(" ", "\t", "\n", "\r"), maxLength: 2 });
const spaced = (token: fc.Arbitrary<string>) =>
  fc.tuple(whitespace, token, whitespace).map((parts) => parts.join(""));
const stringToken = fc
  .string({
    unit: fc.constantFrom("a", "é", "😀", "{", ",", "\\u0061", '\\"', "\\\\", "\\ud800", "\\n"),
    maxLength: 4,
  })
  .map((characters) => `"${characters}"`);
const numberToken = fc.constantFrom("0", "-0", "1.50", "1e5", "9007199254740993", "-12.5E-300", "1e999");

/** The token of a string in which any characters may be escaped. */
const escapable = (text: string) =>
  fc.array(fc.boolean(), { minLength: text.length, maxLength: text.length }).map((escaped) => {
    const characters = Array.from(text, (character, index) =>
      escaped[index] ? `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}` : character,
    );
    return `"${characters.join("")}"`;
  });

const membersToken = (members: fc.Arbitrary<[string, string][]>) =>
  spaced(members.map((list) => `{${list.map(([key, value]) => `${key}:${value}`).join()}}`));
const says = ([key]: [string, string]): string => JSON.parse(key);
const keyToken = (keys: readonly string[]) =>
  fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(...keys).chain(escapable) },
    { weight: 1, arbitrary: stringToken },
  );

const { value } = fc.letrec<{ value: string; array: string; object: string }>((tie) => ({
  value: spaced(
    fc.oneof(
      { depthSize: "small" },
      fc.constantFrom("true", "false", "null"),
      numberToken,
      stringToken,
      tie("array"),
      tie("object"),
    ),
  ),
  array: fc.array(tie("value"), { maxLength: 3 }).map((items) => `[${items.join()}]`),
  object: membersToken(
    fc.uniqueArray(fc.tuple(spaced(keyToken(["signed", "a", "__proto__"])), tie("value")), {
      selector: says,
      maxLength: 4,
    }),
  ),
}));

const content = membersToken(
  fc.uniqueArray(fc.tuple(spaced(keyToken(CONTENT_KEYS)), value), { selector: says, maxLength: 8 }),
);
const eventText = fc
  .tuple(
    fc.tuple(spaced(escapable("type")), spaced(fc.constantFrom(...TYPES).chain(escapable))),
    fc.tuple(
      spaced(escapable("content")),
      fc.oneof({ weight: 8, arbitrary: content }, { weight: 1, arbitrary: value }),
    ),
    fc.uniqueArray(fc.tuple(spaced(keyToken(TOP_LEVEL_KEYS)), value), { selector: says, maxLength: 8 }),
  )
  .chain(([type, itsContent, others]) =>
    membersToken(fc.shuffledSubarray([type, itsContent, ...others], { minLength: others.length + 2 })),
  );
const roomVersion = fc.integer({ min: 1, max: 12 });

describe("redaction of any JSON text", () => {
  it("gives what the specification's words give when the text is parsed, and gives it again for its own result", () => {
    fc.assert(
      fc.property(eventText, roomVersion, (text, version) => {
        const redacted = redactEvent(Buffer.from(text), String(version));
        expect(redacted).toBeDefined();
        const expected = redactParsed(parseJson(text) as JsonObject, version);
        expect(canonicalJson(parseJson(redacted!.toString()))).toBe(canonicalJson(expected));
        expect(redactEvent(redacted!, String(version))!.equals(redacted!)).toBe(true);
      }),
      { numRuns: 3000 },
    );
  });

  it("never throws, and gives JSON or nothing, for a text with bytes changed, removed or added", () => {
    const edits = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 3 }), fc.uint8Array({ maxLength: 3 })), {
      maxLength: 4,
    });
    fc.assert(
      fc.property(eventText, roomVersion, edits, (text, version, changes) => {
        let body = Buffer.from(text);
        for (const [place, removed, inserted] of changes) {
          const at = place % (body.length + 1);
          body = Buffer.concat([body.subarray(0, at), inserted, body.subarray(at + removed)]);
        }
        const redacted = redactEvent(body, String(version));
        if (redacted !== undefined) expect(parseJson(redacted.toString())).toBeInstanceOf(Map);
      }),
      { numRuns: 3000 },
    );
  });

  it("never throws for any bytes and any room version", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 40 }),
        fc.oneof(roomVersion.map(String), fc.string()),
        (body, version) => {
          expect(redactEvent(body, version)).toBeUndefined();
        },
      ),
    );
  });
});

/** The specification's words, one room version after the other, on a parsed event. */
function redactParsed(event: JsonObject, version: number): JsonObject {
  const type = event.get("type");
  const kept = new Set(
    "event_id type room_id sender state_key content hashes signatures depth prev_events auth_events origin_server_ts".split(
      " ",
    ),
  );
  if (version < 11) for (const key of ["prev_state", "origin", "membership"]) kept.add(key);
  if (version >= 12 && type === "m.room.create") kept.delete("room_id");
  const redacted = new Map([...event].filter(([key]) => kept.has(key)));
  const content = event.get("content");
  redacted.set("content", content instanceof Map ? redactContent(content, type, version) : new Map());
  return redacted;
}

function redactContent(content: JsonObject, type: JsonValue | undefined, version: number): JsonObject {
  const only = (...keys: string[]) => new Map([...content].filter(([key]) => keys.includes(key)));
  if (type === "m.room.create") return version < 11 ? only("creator") : content;
  if (type === "m.room.join_rules") return version < 8 ? only("join_rule") : only("join_rule", "allow");
  if (type === "m.room.aliases") return version < 6 ? only("aliases") : new Map();
  if (type === "m.room.history_visibility") return only("history_visibility");
  if (type === "m.room.redaction") return version < 11 ? new Map() : only("redacts");
  if (type === "m.room.power_levels") {
    const levels = "ban events events_default kick redact state_default users users_default".split(" ");
    return version < 11 ? only(...levels) : only(...levels, "invite");
  }
  if (type !== "m.room.member") return new Map();
  if (version < 9) return only("membership");
  const member = only("membership", "join_authorised_via_users_server");
  const invite = content.get("third_party_invite");
  if (version >= 11 && invite instanceof Map) {
    member.set("third_party_invite", new Map([...invite].filter(([key]) => key === "signed")));
  }
  return member;
}
