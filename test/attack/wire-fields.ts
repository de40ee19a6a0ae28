/** The wire form of protobuf as a list of fields, to be taken apart and put together wrongly. */
export interface Field {
  number: number;
  type: number;
  /** What follows the tag, with the length of a text or message left out. */
  value: Buffer;
}

export const VARINT = 0;
export const FIXED_64 = 1;
export const LENGTH_DELIMITED = 2;
export const START_GROUP = 3;
export const END_GROUP = 4;
export const FIXED_32 = 5;

/** Undefined: it is no message. */
export function parseFields(bytes: Buffer): Field[] | undefined {
  const fields: Field[] = [];
  let at = 0;
  while (at < bytes.length) {
    const tag = readVarint(bytes, at);
    if (tag === undefined) return undefined;
    const number = Math.floor(tag.value / 8);
    const type = tag.value % 8;
    let start = tag.end;
    let end: number;
    if (type === VARINT) end = readVarint(bytes, start)?.end ?? Number.NaN;
    else if (type === FIXED_64) end = start + 8;
    else if (type === FIXED_32) end = start + 4;
    else if (type === LENGTH_DELIMITED) {
      const length = readVarint(bytes, start);
      if (length === undefined) return undefined;
      start = length.end;
      end = start + length.value;
    } else return undefined;
    if (!(end <= bytes.length) || number === 0) return undefined;
    fields.push({ number, type, value: bytes.subarray(start, end) });
    at = end;
  }
  return fields;
}

export function joinFields(fields: readonly Field[]): Buffer {
  return Buffer.concat(fields.map(fieldBytes));
}

export function fieldBytes({ number, type, value }: Field): Buffer {
  const tag = varint(number * 8 + type);
  return type === LENGTH_DELIMITED
    ? Buffer.concat([tag, varint(value.length), value])
    : Buffer.concat([tag, value]);
}

export function varint(value: number | bigint): Buffer {
  const bytes: number[] = [];
  let rest = BigInt(value);
  for (; rest >= 128n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  bytes.push(Number(rest));
  return Buffer.from(bytes);
}

function readVarint(bytes: Buffer, start: number): { value: number; end: number } | undefined {
  let value = 0;
  for (let at = start; at < Math.min(bytes.length, start + 10); at++) {
    value += (bytes[at]! & 127) * 2 ** (7 * (at - start));
    if (bytes[at]! < 128) return { value, end: at + 1 };
  }
  return undefined;
}
