import {
  DATA,
  END_HEADERS,
  END_STREAM,
  FRAME_BYTES_MAX,
  frame,
  HEADERS,
  headerBlock,
  PADDED,
} from "./http2/frames.js";
import { framed, type RawCall } from "./http2/raw-call.js";
import type { RawConnection } from "./http2/raw-connection.js";
import type { Random } from "./random.js";

/** One way to send a request wrongly. */
export interface Framing {
  readonly name: string;
  readonly isRefused?: boolean;
  send(call: RawCall, request: Buffer, random: Random, connection: RawConnection): void;
}

export const FRAMINGS: readonly Framing[] = [
  {
    name: "flag of compression",
    isRefused: true,
    send: (call, request) => call.data(framed(request, 1), true),
  },
  {
    name: "flag of nothing",
    isRefused: true,
    send: (call, request, random) => call.data(framed(request, random.between(2, 255)), true),
  },
  {
    name: "announced longer than it is",
    isRefused: true,
    send: (call, request, random) =>
      call.data(framed(request, 0, request.length + random.between(1, 100_000)), true),
  },
  {
    name: "announced shorter than it is",
    isRefused: true,
    // What is left over is never the head and the whole of another message but by accident.
    send: (call, request) =>
      call.data(framed(request, 0, Math.max(0, request.length - 1)), request.length > 0),
  },
  {
    name: "announced beyond all limits",
    isRefused: true,
    send: (call, request, random) =>
      call.data(framed(request, 0, random.pick([2 ** 22 + 1, 2 ** 31, 2 ** 32 - 1])), random.chance(0.5)),
  },
  {
    name: "half a head",
    isRefused: true,
    send: (call, request, random) => call.data(framed(request).subarray(0, random.between(1, 4)), true),
  },
  { name: "no message", send: (call) => call.data(Buffer.alloc(0), true) },
  {
    name: "two messages",
    send: (call, request) => call.data(Buffer.concat([framed(request), framed(request)]), true),
  },
  {
    name: "many messages",
    send: (call, _, random) =>
      call.data(Buffer.concat(Array(random.between(3, 2000)).fill(framed(Buffer.alloc(0)))), true),
  },
  {
    name: "in pieces",
    send: (call, request, random) => {
      const bytes = framed(request);
      const size = Math.max(1, random.below(40), Math.ceil(bytes.length / 60));
      for (let at = 0; at < bytes.length; at += size) call.data(bytes.subarray(at, at + size));
      call.data(Buffer.alloc(0), true);
    },
  },
  {
    name: "with padding",
    send: (call, request, random, connection) => {
      const bytes = framed(request);
      const padding = random.below(256);
      if (bytes.length + padding + 1 > FRAME_BYTES_MAX) call.data(bytes, true);
      else {
        const payload = Buffer.concat([Buffer.from([padding]), bytes, Buffer.alloc(padding)]);
        // It may go beyond the window, which is one more thing to get wrong.
        connection.write(frame(DATA, PADDED | END_STREAM, call.id, payload));
      }
    },
  },
  {
    name: "ended by trailers",
    send: (call, request, _, connection) => {
      call.data(framed(request));
      connection.write(frame(HEADERS, END_HEADERS | END_STREAM, call.id, headerBlock([["x-trailer", "x"]])));
    },
  },
];

/** The server must end these itself, unless the client does so before. */
export const NEVER_ENDED: readonly Framing[] = [
  {
    name: "never finished",
    send: (call, request, random) => {
      const bytes = framed(request);
      call.data(bytes.subarray(0, random.below(bytes.length)));
    },
  },
  {
    name: "complete, but never ended",
    send: (call, request) => call.data(framed(request)),
  },
];
