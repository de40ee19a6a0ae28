import type { Socket } from "node:net";

/** Takes over an accepted connection. */
export type TakeConnection = (socket: Socket) => void;

/** What every HTTP/2 connection begins with, and no HTTP/1 request does. */
const HTTP2_START = Buffer.from("PRI");

/**
 * Serves HTTP/1 and cleartext HTTP/2 on one port: each connection is handed over
 * once its first bytes have told which of them it speaks. An HTTP/1 connection,
 * and one that has not told, is cut after the timeout.
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
