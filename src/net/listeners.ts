import { lstat, stat, unlink } from "node:fs/promises";
import { connect, type Server, type Socket } from "node:net";
import { dirname } from "node:path";
import { formatListenAddress, type ListenAddress } from "../config/address.js";
import { withFileMode } from "../process/umask.js";

/** An open listener. */
export interface Listener {
  /** The address, with the actual port. */
  readonly address: ListenAddress;
  /**
   * Stops accepting connections. Open connections continue; resolves when they have
   * ended. The file of a Unix socket is removed at once.
   */
  stopAccepting(): Promise<void>;
  /** Stops accepting connections and cuts the open ones. */
  destroy(): void;
}

export interface ListenOptions {
  /** The file mode of a Unix socket. */
  readonly socketMode: number;
  /** A connection could not be accepted. */
  readonly onError: (error: Error) => void;
}

/** The process cannot listen on an address. The message is for the operator. */
export class ListenError extends Error {
  constructor(address: ListenAddress | readonly ListenAddress[], problem: string, cause?: unknown) {
    const places = [address].flat().map(formatListenAddress).join(", ");
    super(`cannot listen on ${places}: ${problem}`, { cause });
    this.name = "ListenError";
  }
}

/**
 * Makes a server listen on an address. Replaces a socket file on which no process
 * answers. Rejects with a ListenError.
 */
export async function listen(
  server: Server,
  address: ListenAddress,
  options: ListenOptions,
): Promise<Listener> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  if (address.kind === "unix") {
    await checkDirectory(address);
    await removeStaleSocket(address);
  }
  await bind(server, address, options.socketMode);
  server.on("error", options.onError);
  return {
    address: boundAddress(server, address),
    stopAccepting: () => new Promise((resolve) => server.close(() => resolve())),
    destroy: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

function bind(server: Server, address: ListenAddress, socketMode: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (cause: NodeJS.ErrnoException) => reject(listenError(address, cause));
    server.once("error", onError);
    server.once("listening", () => {
      server.off("error", onError);
      resolve();
    });
    if (address.kind === "tcp") {
      server.listen({ host: address.host, port: address.port });
      return;
    }
    // A socket is made with what the umask leaves of 0777, and bound before listen() returns:
    // there is no moment at which more may connect than the mode allows.
    withFileMode(socketMode, () => server.listen({ path: address.path }));
  });
}

function boundAddress(server: Server, address: ListenAddress): ListenAddress {
  const bound = server.address();
  if (address.kind === "unix" || bound === null || typeof bound === "string") return address;
  return { kind: "tcp", host: bound.address, port: bound.port };
}

/** Node.js reports a missing directory as a lack of permission. */
async function checkDirectory(address: ListenAddress & { kind: "unix" }): Promise<void> {
  const directory = dirname(address.path);
  await stat(directory).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === "ENOENT") {
      throw new ListenError(address, `the directory ${directory} does not exist; create it first`, cause);
    }
  });
}

async function removeStaleSocket(address: ListenAddress & { kind: "unix" }): Promise<void> {
  const found = await lstat(address.path).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isSocket()) throw new ListenError(address, "a file is there that is not a socket");
  const failure = await connectFailure(address.path);
  if (failure === undefined) throw new ListenError(address, "another process listens there");
  if (failure.code === "ECONNREFUSED") await unlink(address.path);
  else if (failure.code !== "ENOENT") throw listenError(address, failure);
}

/** Why no process answers on a socket; undefined if one does. */
function connectFailure(path: string): Promise<NodeJS.ErrnoException | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    socket.once("connect", () => {
      socket.destroy();
      resolve(undefined);
    });
    socket.once("error", resolve);
  });
}

const PROBLEMS: Readonly<Record<string, string>> = {
  EADDRINUSE: "the address is already in use",
  EADDRNOTAVAIL: "this machine does not have the address",
  EACCES: "permission denied",
  EPERM: "permission denied",
  ENOENT: "the directory does not exist",
  ENOTFOUND: "unknown host name",
  EROFS: "the file system is read-only",
};

function listenError(address: ListenAddress, cause: NodeJS.ErrnoException): ListenError {
  return new ListenError(address, PROBLEMS[cause.code ?? ""] ?? cause.message, cause);
}
