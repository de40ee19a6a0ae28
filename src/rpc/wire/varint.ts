/** The bytes of a varint that holds a uint64. */
export function varint64Bytes(value: bigint): number {
  let bytes = 1;
  for (let rest = value >> 7n; rest > 0n; rest >>= 7n) bytes += 1;
  return bytes;
}

/** Writes a uint64 as a varint and returns where it ends. */
export function writeVarint64(target: Buffer, start: number, value: bigint): number {
  let at = start;
  let rest = value;
  while (rest >= 0x80n) {
    target[at++] = Number(rest & 0x7fn) | 0x80;
    rest >>= 7n;
  }
  target[at++] = Number(rest);
  return at;
}
