/**
 * The parts of an event that redaction keeps, by room version: the lists of the
 * "Redactions" sections of the Matrix specification (room versions 1 to 12).
 */

/** The kept part of a value: the whole, or these members of an object. */
export type Kept = typeof WHOLE | KeptMembers;
export type KeptMembers = ReadonlyMap<string, Kept>;
export const WHOLE = "whole";

/** The kept parts of events of one type. */
export interface RedactionRule {
  /** Members of the event itself that are kept whole; `content` is not among them. */
  readonly members: ReadonlySet<string>;
  readonly content: Kept;
}

/** The rule for an event; undefined for an unknown room version. */
export function redactionRule(roomVersion: string, type: string): RedactionRule | undefined {
  const rules = RULES.get(roomVersion);
  return rules?.byType.get(type) ?? rules?.otherTypes;
}

interface VersionRules {
  readonly byType: ReadonlyMap<string, RedactionRule>;
  readonly otherTypes: RedactionRule;
}

const MEMBERS = [
  "event_id",
  "type",
  "room_id",
  "sender",
  "state_key",
  "hashes",
  "signatures",
  "depth",
  "prev_events",
  "auth_events",
  "origin_server_ts",
];

const RULES: ReadonlyMap<string, VersionRules> = new Map(
  Array.from({ length: 12 }, (_, index) => [String(index + 1), versionRules(index + 1)]),
);

function versionRules(version: number): VersionRules {
  const members = new Set(MEMBERS);
  if (version <= 10) for (const key of ["prev_state", "origin", "membership"]) members.add(key);

  const byType = new Map<string, RedactionRule>();
  for (const [type, content] of keptContent(version)) byType.set(type, { members, content });

  // Since version 12 the room ID is derived from the create event, which therefore cannot contain it.
  if (version >= 12) {
    const createMembers = new Set(members);
    createMembers.delete("room_id");
    byType.set("m.room.create", { members: createMembers, content: WHOLE });
  }
  return { byType, otherTypes: { members, content: keep() } };
}

/** The kept part of the content, by type. Other types keep nothing of it. */
function keptContent(version: number): Map<string, Kept> {
  const since = (first: number, key: string) => (version >= first ? [key] : []);
  const member = keep("membership", ...since(9, "join_authorised_via_users_server"));
  if (version >= 11) member.set("third_party_invite", keep("signed"));
  return new Map<string, Kept>([
    ["m.room.member", member],
    ["m.room.create", version >= 11 ? WHOLE : keep("creator")],
    ["m.room.join_rules", keep("join_rule", ...since(8, "allow"))],
    [
      "m.room.power_levels",
      keep(
        "ban",
        "events",
        "events_default",
        "kick",
        "redact",
        "state_default",
        "users",
        "users_default",
        ...since(11, "invite"),
      ),
    ],
    ["m.room.aliases", version <= 5 ? keep("aliases") : keep()],
    ["m.room.history_visibility", keep("history_visibility")],
    ["m.room.redaction", keep(...since(11, "redacts"))],
  ]);
}

function keep(...keys: string[]): Map<string, Kept> {
  return new Map(keys.map((key) => [key, WHOLE]));
}
