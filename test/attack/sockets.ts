import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { RawConnection } from "./http2/raw-connection.js";
import type { Random } from "./random.js";

const HOLD_MS_MAX = 3000;

/** Writes the same bytes again and again, as fast as they are taken, until the server ends the connection. */
export async function writeMany(socket: Socket, bytes: Buffer, times: number, isLast = true): Promise<void> {
  for (let count = 0; count < times && !socket.destroyed; count++) {
    if (!socket.write(bytes)) await drained(socket);
    else if (count % 20 === 0) await turn();
  }
  if (isLast) socket.destroy();
}

/** A connection on which nothing was sent. */
export async function openSocket(port: number): Promise<Socket> {
  const socket = connect({ host: "127.0.0.1", port });
  await once(socket, "connect");
  socket.on("error", () => {});
  socket.resume();
  return socket;
}

/** Keeps a connection for a while, unless the server ends it. */
export async function hold(connection: RawConnection, random: Random): Promise<void> {
  await holdSocket(connection.socket, random);
}

/** Keeps a connection for a while, unless the server ends it. */
export async function holdSocket(socket: Socket, random: Random): Promise<void> {
  const abort = new AbortController();
  socket.once("close", () => abort.abort());
  await delay(random.below(HOLD_MS_MAX), undefined, { signal: abort.signal }).catch(() => {});
  socket.destroy();
}

/** Until it can be written to again, is closed, or a second is over. */
function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      socket.off("drain", done).off("close", done);
      resolve();
    };
    const timer = setTimeout(done, 1000);
    socket.on("drain", done).on("close", done);
  });
}

/** Lets everything else have its turn. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
