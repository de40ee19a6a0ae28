import type { Position as WirePosition } from "../gen/splitcache/v1/event_cache_service.js";

/** A position in the invalidation log of the homeserver. Opaque: take it from a reply, and give it back. */
export type Position = Readonly<WirePosition>;

/** The epoch as text. Positions of two epochs are never compared. */
export function epochOf(position: Position): string {
  return position.epoch.toString("hex");
}

/** A position as text, to be stored: `changes` resumes after it in another process. */
export function formatPosition(position: Position): string {
  return `${epochOf(position)}:${position.sequence}`;
}

/** Reads what `formatPosition` wrote. Throws a TypeError if it is anything else. */
export function parsePosition(text: string): Position {
  const [, epoch, sequence] = /^([0-9a-f]{32}):(\d{1,20})$/.exec(text) ?? [];
  if (epoch === undefined || sequence === undefined)
    throw new TypeError(
      `position: expected 32 hexadecimal digits, a colon and a number, is ${text.slice(0, 64)}`,
    );
  return { epoch: Buffer.from(epoch, "hex"), sequence: BigInt(sequence) };
}
