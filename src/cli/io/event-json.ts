import type { CachedEvent, Redaction } from "../../gen/splitcache/v1/event_cache_service.js";
import { CliError, ExitCode } from "../exit-code.js";
import { parseJson } from "./parse-json.js";

/** How `put` reads an event and `get -o json` writes it, for the help of both. */
export const EVENT_JSON_HELP = `Each event is one JSON object in one line:
  event_id, room_id, room_version   strings
  body (or json)                    the event's JSON text, as a string
  rejected, rejected_reason         optional: a boolean, a string
  redacted_by                       optional: the redaction's event ID
  redacted_body (or redacted_json)  optional: the redacted event's JSON text
  internal_metadata                 optional: any text
null means absent; unknown fields are ignored. Bytes that are not UTF-8 are
encoded in body_base64, redacted_body_base64 and internal_metadata_base64.`;

/** Parses one line; `where` names it in errors. */
export function parseEventJson(line: string, where: string): CachedEvent {
  const fields = new Fields(parseObject(line, where), where);
  const rejectedReason = fields.text("rejected_reason") ?? "";
  return {
    eventId: fields.required("event_id"),
    roomId: fields.required("room_id"),
    roomVersion: fields.required("room_version"),
    body: fields.bytes("body", "json") ?? fields.missing("body"),
    rejected: fields.flag("rejected") ?? rejectedReason !== "",
    rejectedReason,
    redaction: redactionOf(fields),
    internalMetadata: fields.bytes("internal_metadata") ?? Buffer.alloc(0),
  };
}

/** An event as the object of its line; `parseEventJson` reads the line back. */
export function eventFields(event: CachedEvent): object {
  return {
    event_id: event.eventId,
    room_id: event.roomId,
    room_version: event.roomVersion,
    ...bytesField("body", event.body),
    ...(event.rejected ? { rejected: true, rejected_reason: event.rejectedReason } : {}),
    ...(event.redaction === undefined ? {} : { redacted_by: event.redaction.redactedBy }),
    ...bytesField("redacted_body", event.redaction?.redactedBody),
    ...bytesField("internal_metadata", event.internalMetadata),
  };
}

function redactionOf(fields: Fields): Redaction | undefined {
  const redactedBy = fields.text("redacted_by");
  if (redactedBy === undefined) return undefined;
  return { redactedBy, redactedBody: fields.bytes("redacted_body", "redacted_json") ?? Buffer.alloc(0) };
}

/** Text that people can read if the bytes are UTF-8, else base64. */
function bytesField(name: string, bytes: Uint8Array | undefined): Record<string, string> {
  if (bytes === undefined || bytes.length === 0) return {};
  try {
    return { [name]: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes) };
  } catch {
    return { [`${name}_base64`]: Buffer.from(bytes).toString("base64") };
  }
}

function parseObject(line: string, where: string): object {
  const value: unknown = parseJson(line, where);
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  throw new CliError(ExitCode.usage, `${where}: expected a JSON object`);
}

/** Typed access to the fields of one line. */
class Fields {
  readonly #values: ReadonlyMap<string, unknown>;
  readonly #where: string;

  constructor(object: object, where: string) {
    this.#values = new Map(Object.entries(object));
    this.#where = where;
  }

  text(name: string): string | undefined {
    const value = this.#values.get(name) ?? undefined;
    if (value === undefined || typeof value === "string") return value;
    throw this.#error(name, "must be a string");
  }

  flag(name: string): boolean | undefined {
    const value = this.#values.get(name) ?? undefined;
    if (value === undefined || typeof value === "boolean") return value;
    throw this.#error(name, "must be true or false");
  }

  required(name: string): string {
    return this.text(name) ?? this.missing(name);
  }

  /** The bytes of the first of these fields that is present. */
  bytes(...names: readonly string[]): Buffer | undefined {
    for (const name of names) {
      const text = this.text(name);
      if (text !== undefined) return Buffer.from(text);
      const base64 = this.text(`${name}_base64`);
      if (base64 !== undefined) return this.#decode(base64, `${name}_base64`);
    }
    return undefined;
  }

  /** Buffer.from ignores characters that are not base64 and ends at padding. */
  #decode(base64: string, name: string): Buffer {
    const bytes = Buffer.from(base64, "base64");
    if (bytes.toString("base64") === base64) return bytes;
    throw this.#error(name, "must be base64 with its padding");
  }

  missing(name: string): never {
    throw this.#error(name, "is missing");
  }

  #error(name: string, problem: string): CliError {
    return new CliError(ExitCode.usage, `${this.#where}: ${name} ${problem}`);
  }
}
