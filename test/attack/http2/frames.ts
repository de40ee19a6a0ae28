/** HTTP/2 frames as bytes, right or wrong: node:http2 sends right ones alone. */

export const DATA = 0;
export const HEADERS = 1;
export const PRIORITY = 2;
export const RST_STREAM = 3;
export const SETTINGS = 4;
export const PING = 6;
export const GOAWAY = 7;
export const WINDOW_UPDATE = 8;
export const CONTINUATION = 9;

export const END_STREAM = 1;
export const ACK = 1;
export const END_HEADERS = 4;
export const PADDED = 8;

export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
export const FRAME_HEAD_BYTES = 9;
/** The largest payload that a server takes before it has said otherwise. */
export const FRAME_BYTES_MAX = 16_384;
export const NO_BYTES = Buffer.alloc(0);

export function frame(type: number, flags: number, streamId: number, payload: Buffer = NO_BYTES): Buffer {
  const bytes = Buffer.allocUnsafe(FRAME_HEAD_BYTES + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(streamId, 5);
  payload.copy(bytes, FRAME_HEAD_BYTES);
  return bytes;
}

export function reset(streamId: number, code: number): Buffer {
  return frame(RST_STREAM, 0, streamId, uint32(code));
}

export function windowUpdate(streamId: number, bytes: number): Buffer {
  return frame(WINDOW_UPDATE, 0, streamId, uint32(bytes));
}

/** The beginning of a connection. Without a header table, replies hold no references to earlier ones. */
export function hello(initialWindowBytes: number): Buffer {
  const settings = Buffer.alloc(12);
  settings.writeUInt16BE(SETTINGS_HEADER_TABLE_SIZE, 0);
  settings.writeUInt16BE(SETTINGS_INITIAL_WINDOW_SIZE, 6);
  settings.writeUInt32BE(initialWindowBytes, 8);
  return Buffer.concat([PREFACE, frame(SETTINGS, 0, 0, settings)]);
}

const SETTINGS_HEADER_TABLE_SIZE = 1;
const SETTINGS_INITIAL_WINDOW_SIZE = 4;

/** HEADERS, and CONTINUATION for what does not fit into the first frame. */
export function headers(streamId: number, block: Buffer, isEnd = false): Buffer {
  const end = isEnd ? END_STREAM : 0;
  if (block.length <= FRAME_BYTES_MAX) return frame(HEADERS, END_HEADERS | end, streamId, block);
  const frames = [frame(HEADERS, end, streamId, block.subarray(0, FRAME_BYTES_MAX))];
  for (let at = FRAME_BYTES_MAX; at < block.length; at += FRAME_BYTES_MAX) {
    const isLast = at + FRAME_BYTES_MAX >= block.length;
    const part = block.subarray(at, at + FRAME_BYTES_MAX);
    frames.push(frame(CONTINUATION, isLast ? END_HEADERS : 0, streamId, part));
  }
  return Buffer.concat(frames);
}

export type Header = readonly [name: string, value: string | Buffer];

/** A header block of literals that enter no table, so that each can be sent again at any time. */
export function headerBlock(fields: readonly Header[]): Buffer {
  const parts: Buffer[] = [];
  for (const [name, value] of fields) {
    const bytes = typeof value === "string" ? Buffer.from(value) : value;
    parts.push(Buffer.from([0]), textLength(Buffer.byteLength(name)), Buffer.from(name));
    parts.push(textLength(bytes.length), bytes);
  }
  return Buffer.concat(parts);
}

/** An integer of HPACK with a prefix of seven bits. */
function textLength(length: number): Buffer {
  if (length < 127) return Buffer.from([length]);
  const bytes = [127];
  let rest = length - 127;
  for (; rest >= 128; rest >>>= 7) bytes.push((rest & 127) | 128);
  bytes.push(rest);
  return Buffer.from(bytes);
}

/** What a client must know of a reply's header block. */
export interface StatusFields {
  readonly grpcStatus: number | undefined;
}

/** "grpc-status" in the Huffman code of HPACK; its value is so short that it is always plain. */
const GRPC_STATUS = huffmanOfGrpcStatus();

/** Finds grpc-status in a block that uses no dynamic table. */
export function readStatus(block: Buffer): StatusFields {
  let at = block.indexOf(GRPC_STATUS);
  if (at < 0) return { grpcStatus: undefined };
  at += GRPC_STATUS.length;
  const length = block[at]! & 127;
  return { grpcStatus: Number(block.toString("latin1", at + 1, at + 1 + length)) };
}

function huffmanOfGrpcStatus(): Buffer {
  // RFC 7541, appendix B.
  const codes = ["100110", "101100", "101011", "00100", "010110", "01000", "01001", "00011", "01001"];
  const bits = [...codes, "101101", "01000"].join("");
  const bytes = bits
    .padEnd(Math.ceil(bits.length / 8) * 8, "1")
    .match(/.{8}/g)!
    .map((byte) => Number.parseInt(byte, 2));
  return Buffer.from([0x80 | bytes.length, ...bytes]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
