import { isUtf8 } from "node:buffer";
import { BODY_BYTES_MAX } from "../model/limits.js";
import { type JsonMember, membersOfDocument, membersOfObject, unescapeString } from "./json-members.js";
import { type Kept, type KeptMembers, redactionRule, WHOLE } from "./redaction-rules.js";

/** The longest text that is redacted: far above any body, far below the limits of the engine's strings and sets. */
const TEXT_BYTES_MAX = 64 * BODY_BYTES_MAX;

/**
 * The redacted form of an event: the parts of its JSON text that the redaction
 * algorithm of its room version keeps, as JSON text in memory of its own. Each
 * kept key and value is copied from the original byte for byte and in its order,
 * so numbers of any size and escapes do not change. `unsigned` is not kept.
 *
 * Undefined if the event cannot be redacted: the room version is not one of "1"
 * to "12"; the text is not valid UTF-8 or not exactly one JSON object (RFC 8259;
 * no byte order mark, nothing after the object); it is nested deeper than 1,000
 * levels or has more than 20,000 members, objects and arrays; any object in it has
 * a duplicate key; its `type` is missing or not a string; it is longer than 16 MiB.
 *
 * A `content` that is not an object becomes `{}`; a missing `content` stays
 * missing. A `third_party_invite` that is not an object is dropped.
 */
export function redactEvent(body: Uint8Array, roomVersion: string): Buffer | undefined {
  if (body.byteLength > TEXT_BYTES_MAX || !isUtf8(body)) return undefined;
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("utf8");
  const event = membersOfDocument(text);
  const type = event && stringMember(text, event, "type");
  const rule = type === undefined ? undefined : redactionRule(roomVersion, type);
  if (event === undefined || rule === undefined) return undefined;

  const cuts: string[] = [];
  for (const member of event) {
    if (rule.members.has(member.key)) {
      cuts.push(text.slice(member.start, member.end));
    } else if (member.key === "content") {
      cuts.push(keyOf(text, member) + cutContent(text, member, rule.content));
    }
  }
  const redacted = `{${cuts.join(",")}}`;
  const bytes = Buffer.allocUnsafeSlow(Buffer.byteLength(redacted));
  bytes.write(redacted);
  return bytes;
}

function cutContent(text: string, content: JsonMember, kept: Kept): string {
  if (!isObject(text, content)) return "{}";
  return kept === WHOLE ? text.slice(content.valueStart, content.end) : cutObject(text, content, kept);
}

/** The kept part of a member's value, which is an object. */
function cutObject(text: string, { valueStart }: JsonMember, kept: KeptMembers): string {
  if (kept.size === 0) return "{}";
  const cuts: string[] = [];
  // The object is valid because the document around it is.
  for (const member of membersOfObject(text, valueStart) ?? []) {
    const keptValue = kept.get(member.key);
    if (keptValue === WHOLE) {
      cuts.push(text.slice(member.start, member.end));
    } else if (keptValue !== undefined && isObject(text, member)) {
      cuts.push(keyOf(text, member) + cutObject(text, member, keptValue));
    }
  }
  return `{${cuts.join(",")}}`;
}

/** A member's key, and everything up to its value. */
function keyOf(text: string, member: JsonMember): string {
  return text.slice(member.start, member.valueStart);
}

function isObject(text: string, member: JsonMember): boolean {
  return text.charAt(member.valueStart) === "{";
}

/** The value of the member with this key, if it is a string. */
function stringMember(text: string, members: readonly JsonMember[], key: string): string | undefined {
  const member = members.find((candidate) => candidate.key === key);
  if (member === undefined || text.charAt(member.valueStart) !== '"') return undefined;
  return unescapeString(text, member.valueStart, member.end);
}
