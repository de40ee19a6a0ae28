import { redactEvent } from "../../../src/core/redaction/redaction.js";

export const VERSIONS = Array.from({ length: 12 }, (_, index) => String(index + 1));

/** The redacted text, or undefined. */
export function redact(event: string, roomVersion: string): string | undefined {
  return redactEvent(Buffer.from(event), roomVersion)?.toString();
}

/** The versions in which a member of an event is kept. */
export function versionsThatKeep(event: object, path: readonly string[]): string[] {
  return VERSIONS.filter((version) => {
    let value: unknown = JSON.parse(redact(JSON.stringify(event), version)!);
    for (const key of path) value = new Map(Object.entries(value ?? {})).get(key);
    return value !== undefined;
  });
}
