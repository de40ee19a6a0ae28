import type { Random } from "./random.js";
import type { Method } from "./requests.js";
import * as fields from "./wire-fields.js";

/** One way to change a message. */
export interface Mutation {
  readonly name: string;
  readonly isRefused?: boolean;
  /** Undefined: this message cannot be changed so. */
  apply(bytes: Buffer, random: Random, method: Method): Buffer | undefined;
}

/** The fields of a message; none, if it is none. */
export function fieldsOf(bytes: Buffer): readonly fields.Field[] {
  return fields.parseFields(bytes) ?? [];
}

export function indexOf(
  parsed: readonly fields.Field[],
  random: Random,
  matches: (field: fields.Field) => boolean,
): number | undefined {
  const indexes = [...parsed.keys()].filter((index) => matches(parsed[index]!));
  return indexes.length === 0 ? undefined : random.pick(indexes);
}

/** The fields with other bytes in place of one of them. */
export function around(parsed: readonly fields.Field[], index: number, bytes: Buffer): Buffer {
  return Buffer.concat([
    fields.joinFields(parsed.slice(0, index)),
    bytes,
    fields.joinFields(parsed.slice(index + 1)),
  ]);
}

/** Puts bytes between two fields. */
export function insert(bytes: Buffer, random: Random, inserted: Buffer): Buffer {
  const parsed = fieldsOf(bytes);
  const before = random.below(parsed.length + 1);
  return Buffer.concat([
    fields.joinFields(parsed.slice(0, before)),
    inserted,
    fields.joinFields(parsed.slice(before)),
  ]);
}
