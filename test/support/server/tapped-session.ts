import { type ClientHttp2Session, connect } from "node:http2";
import type { Socket } from "node:net";
import { Duplex } from "node:stream";

export interface TappedSession {
  readonly session: ClientHttp2Session;
  stop(): void;
}

const PREFACE_BYTES = 24;
const FRAME_HEAD_BYTES = 9;

export function tappedSession(socket: Socket, isSent: (frame: Buffer) => boolean): TappedSession {
  let unsent = Buffer.alloc(0);
  let isOpened = false;
  const connection = new Duplex({
    read: () => {},
    write: (bytes, _encoding, done) => {
      unsent = Buffer.concat([unsent, bytes]);
      for (;;) {
        const length = isOpened
          ? FRAME_HEAD_BYTES + (unsent.byteLength < 3 ? 0 : unsent.readUIntBE(0, 3))
          : PREFACE_BYTES;
        if (unsent.byteLength < length) break;
        const frame = unsent.subarray(0, length);
        unsent = unsent.subarray(length);
        if (!isOpened || isSent(frame)) socket.write(frame);
        isOpened = true;
      }
      done();
    },
  });
  socket.on("data", (bytes) => connection.push(bytes));
  socket.on("error", () => {});
  const window = 2 ** 30;
  const session = connect("http://tapped", {
    createConnection: () => connection,
    settings: { initialWindowSize: window },
  });
  session.on("error", () => {});
  session.on("connect", () => session.setLocalWindowSize(window));
  return { session, stop: () => socket.pause() };
}
