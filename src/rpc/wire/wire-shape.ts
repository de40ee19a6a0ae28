/**
 * The fields of a message that are texts or messages themselves, by field number
 * (of messages: below 32): all that must be known of it to walk its wire form.
 */
export interface MessageShape {
  readonly [fieldNumber: number]: FieldShape;
}

export interface FieldShape {
  /** As in the contract. */
  readonly name: string;
  readonly isRepeated: boolean;
  /** Undefined if the field is a text. */
  readonly message: MessageShape | undefined;
}

/**
 * Whether `bytes` are the wire form of a message: each field has a valid tag and
 * ends inside the message that it is part of, nested ones included, and no
 * message that is not repeated is given twice. Generated decoders check less:
 * they stop early at an invalid tag, let a nested message read on beyond its end,
 * and of a message in two parts keep the last where other languages merge them,
 * so that the same bytes have two meanings.
 */
export function isWellFormed(bytes: Uint8Array, shape: MessageShape): boolean {
  return isMessage(bytes, 0, bytes.length, shape);
}

/** The wire types; there are no others but groups, which the contract never has. */
export const VARINT = 0;
export const FIXED_64 = 1;
export const LENGTH_DELIMITED = 2;
export const FIXED_32 = 5;

function isMessage(bytes: Uint8Array, start: number, end: number, shape: MessageShape): boolean {
  let at = start;
  /** One bit for each message field that was seen. */
  let seen = 0;
  while (at < end) {
    const tag = readVarint32(bytes, at, end);
    if (tag < 8) return false;
    at = varintEnd(bytes, at, end);
    switch (tag & 7) {
      case VARINT:
        at = varintEnd(bytes, at, end);
        break;
      case FIXED_64:
        at += 8;
        break;
      case LENGTH_DELIMITED: {
        const length = readVarint32(bytes, at, end);
        if (length < 0) return false;
        const contentStart = varintEnd(bytes, at, end);
        at = contentStart + length;
        if (at > end) return false;
        const field = shape[tag >>> 3];
        if (field?.message === undefined) break;
        if (!field.isRepeated) {
          const bit = 1 << (tag >>> 3);
          if ((seen & bit) !== 0) return false;
          seen |= bit;
        }
        if (!isMessage(bytes, contentStart, at, field.message)) return false;
        break;
      }
      case FIXED_32:
        at += 4;
        break;
      default:
        // Groups: no version of the contract has any.
        return false;
    }
  }
  return at === end;
}

const INVALID = -1;
/** Beyond every message, so that the walk ends. */
const PAST_END = Number.MAX_SAFE_INTEGER;

/** A varint below 2^32 in at most five bytes, or INVALID. */
export function readVarint32(bytes: Uint8Array, start: number, end: number): number {
  let value = 0;
  for (let index = 0; index < 5 && start + index < end; index++) {
    const byte = bytes[start + index]!;
    if (byte < 0x80) return index === 4 && byte > 0x0f ? INVALID : value + byte * 2 ** (7 * index);
    value += (byte & 0x7f) * 2 ** (7 * index);
  }
  return INVALID;
}

/** The end of the varint that starts at `start`, or PAST_END. */
export function varintEnd(bytes: Uint8Array, start: number, end: number): number {
  const last = Math.min(start + 10, end);
  for (let at = start; at < last; at++) {
    if (bytes[at]! < 0x80) return at + 1;
  }
  return PAST_END;
}
