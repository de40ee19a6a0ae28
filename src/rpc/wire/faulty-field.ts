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

/** The fault of a refused request. */
export interface Fault {
  /**
   * The path of the first field that is malformed, such as `events[3].room_id`.
   * Where the message ends before its fields can be told apart, the path of the
   * message; of the request: `request`.
   */
  readonly field: string;
  /** The problem. Undefined: the bytes are malformed. */
  readonly problem: string | undefined;
}

/** Finds the fault of a request that `isWellFormed` or the generated decoder refused. */
export function findFault(bytes: Uint8Array, shape: MessageShape): Fault {
  const fault = faultOf(bytes, 0, bytes.length, shape, "");
  return { field: fault?.field || "request", problem: fault?.problem };
}

const malformed = (field: string): Fault => ({ field, problem: undefined });

function faultOf(
  bytes: Uint8Array,
  start: number,
  end: number,
  shape: MessageShape,
  path: string,
): Fault | undefined {
  const counts = new Map<string, number>();
  let at = start;
  while (at < end) {
    const tag = readVarint32(bytes, at, end);
    if (tag < 8) return malformed(path);
    at = varintEnd(bytes, at, end);
    const field = shape[tag >>> 3];
    let name = path;
    const isDelimited = (tag & 7) === LENGTH_DELIMITED;
    if (field !== undefined) {
      const index = counts.get(field.name) ?? 0;
      if (isDelimited) counts.set(field.name, index + 1);
      const own = field.isRepeated ? `${field.name}[${index}]` : field.name;
      name = path === "" ? own : `${path}.${own}`;
      const isMessage = isDelimited && field.message !== undefined;
      if (isMessage && !field.isRepeated && index > 0) return { field: name, problem: REPEATED };
    }
    const contentStart = isDelimited ? varintEnd(bytes, at, end) : at;
    at = fieldEnd(bytes, at, end, tag & 7);
    if (at > end) return malformed(name);
    if (field === undefined || !isDelimited) continue;
    if (field.message !== undefined) {
      const nested = faultOf(bytes, contentStart, at, field.message, name);
      if (nested !== undefined) return nested;
    } else if (!isUtf8(bytes.subarray(contentStart, at))) {
      return { field: name, problem: NOT_UTF8 };
    }
  }
  return undefined;
}

const REPEATED = "is a message field that occurs more than once";
const NOT_UTF8 = "is not valid UTF-8";

/** The end of the field whose value starts at `at`. Beyond `end` if it is malformed. */
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
