import type { Socket } from "node:net";

/** Takes over an accepted connection. */
export type TakeConnection = (socket: Socket) => void;

/** The first bytes of every HTTP/2 connection, and of no HTTP/1 request. */
const HTTP2_START = Buffer.from("PRI");

/**
 * Serves HTTP/1 and cleartext HTTP/2 on one port. The first bytes of a connection
 * select its protocol. An HTTP/1 connection, and a connection whose protocol is not
 * known yet, is cut after the timeout.
 */
export function switchProtocol(
  takers: { readonly http1: TakeConnection; readonly http2: TakeConnection },
  timeoutMs: number,
): TakeConnection {
  return (socket) => {
    const timer = setTimeout(() => socket.destroy(), timeoutMs).unref();
    const giveUp = () => socket.destroy();
    const onReadable = () => {
      const start: Buffer | null = socket.read(HTTP2_START.length);
      if (start === null) return;
      socket.off("readable", onReadable).off("error", giveUp).off("end", giveUp);
      socket.unshift(start);
      if (start.equals(HTTP2_START)) {
        clearTimeout(timer);
        takers.http2(socket);
      } else {
        takers.http1(socket);
      }
    };
    socket.on("readable", onReadable).on("error", giveUp).on("end", giveUp);
    socket.once("close", () => clearTimeout(timer));
  };
}
