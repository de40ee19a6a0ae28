import { isUtf8 } from "node:buffer";
import {
  FIXED_32,
  FIXED_64,
  LENGTH_DELIMITED,
  type MessageShape,
  readVarint32,
  VARINT,
  varintEnd,
} from "./wire-shape.js";

/**
 * The path of the first field of a refused request that is malformed or a text
 * that is not UTF-8, such as `events[3].room_id`; where the message ends before
 * its fields can be told, the path of the message; of the request: `request`.
 */
export function faultyField(bytes: Uint8Array, shape: MessageShape): string {
  return findFault(bytes, 0, bytes.length, shape, "") || "request";
}

function findFault(
  bytes: Uint8Array,
  start: number,
  end: number,
  shape: MessageShape,
  path: string,
): string | undefined {
  const counts = new Map<string, number>();
  let at = start;
  while (at < end) {
    const tag = readVarint32(bytes, at, end);
    if (tag < 8) return path;
    at = varintEnd(bytes, at, end);
    const field = shape[tag >>> 3];
    let name = path;
    if (field !== undefined) {
      const index = counts.get(field.name) ?? 0;
      counts.set(field.name, index + 1);
      const own = field.isRepeated ? `${field.name}[${index}]` : field.name;
      name = path === "" ? own : `${path}.${own}`;
    }
    const contentStart = (tag & 7) === LENGTH_DELIMITED ? varintEnd(bytes, at, end) : at;
    at = fieldEnd(bytes, at, end, tag & 7);
    if (at > end) return name;
    if (field === undefined || (tag & 7) !== LENGTH_DELIMITED) continue;
    if (field.message !== undefined) {
      const nested = findFault(bytes, contentStart, at, field.message, name);
      if (nested !== undefined) return nested;
    } else if (!isUtf8(bytes.subarray(contentStart, at))) {
      return name;
    }
  }
  return undefined;
}

/** Where the field whose value begins at `at` ends; beyond `end` if it is malformed. */
function fieldEnd(bytes: Uint8Array, at: number, end: number, wireType: number): number {
  switch (wireType) {
    case VARINT:
      return varintEnd(bytes, at, end);
    case FIXED_64:
      return at + 8;
    case FIXED_32:
      return at + 4;
    case LENGTH_DELIMITED: {
      const length = readVarint32(bytes, at, end);
      return length < 0 ? Number.POSITIVE_INFINITY : varintEnd(bytes, at, end) + length;
    }
    default:
      return Number.POSITIVE_INFINITY;
  }
}
