import type { ServerHttp2Session } from "node:http2";
import type { Socket } from "node:net";
import type { ListenAddress } from "../config/address.js";
import type { CloseReason, ConnectionTable, ConnectionUsage, OpenConnection } from "./connection-table.js";
import type { OpenSession } from "./grpc-sessions.js";
import type { Secure } from "./tls-front.js";

export interface GrpcConnectionTimes {
  /** A connection without a call for this long is closed. */
  readonly idleTimeoutMs: number;
  /** A connection that has not sent its HTTP/2 preface and settings after this time is closed; 5 s if left out. */
  readonly prefaceTimeoutMs?: number;
}

export interface GrpcConnectionOptions extends GrpcConnectionTimes {
  /** TLS for TCP connections; cleartext if left out. */
  readonly secure?: Secure | undefined;
  /** Called for each connection, before its first call, with the socket to talk over. */
  readonly onOpen?: (session: ServerHttp2Session, socket: Socket, listener: ListenAddress) => void;
}

const PREFACE_TIMEOUT_MS = 5000;
/** From the end of a connection to its cut, for a peer that does not close its side. */
const CLOSE_GRACE_MS = 250;

/** The gRPC connections. Tracks which of them carry calls, and closes idle ones in time. */
export class GrpcConnections {
  readonly #table: ConnectionTable;
  readonly #openSession: OpenSession;
  readonly #options: GrpcConnectionOptions;
  readonly #connections = new Set<GrpcConnection>();
  /** Resolved when a call or a connection has ended, while the server drains. */
  #wake: (() => void) | undefined;
  #isDraining = false;

  constructor(table: ConnectionTable, openSession: OpenSession, options: GrpcConnectionOptions) {
    this.#table = table;
    this.#openSession = openSession;
    this.#options = options;
  }

  /** Adds a socket that a listener has accepted. */
  take(socket: Socket, listener: ListenAddress): void {
    const entry = this.#table.accept(socket);
    if (entry === undefined) return;
    const { secure } = this.#options;
    if (secure === undefined || listener.kind === "unix") this.#open(entry, socket, listener);
    else secure(socket, (secured) => this.#open(entry, secured, listener));
  }

  #open(entry: OpenConnection, socket: Socket, listener: ListenAddress): void {
    const session = this.#openSession(socket);
    if (session === undefined) {
      entry.cut("peer");
      return;
    }
    this.#options.onOpen?.(session, socket, listener);
    const connection = new GrpcConnection(entry, session, this.#options, () => this.#callsEnded(connection));
    this.#connections.add(connection);
    entry.socket.once("close", () => {
      this.#connections.delete(connection);
      this.#wake?.();
    });
    if (this.#isDraining) connection.end("drained");
  }

  usage(): ConnectionUsage {
    return this.#table.usage();
  }

  /**
   * Closes each connection as soon as it carries no call, and waits only for calls.
   * Returns how many calls had not ended at the deadline; the caller cuts them.
   */
  async drain(timeoutMs: number): Promise<number> {
    this.#isDraining = true;
    for (const connection of this.#connections) {
      if (connection.calls === 0) connection.end("drained");
    }
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      this.#wake?.();
    }, timeoutMs);
    // A connection without calls closes within CLOSE_GRACE_MS, regardless of its peer.
    while (this.#connections.size > 0 && !(isLate && this.#calls() > 0)) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    clearTimeout(timer);
    this.#wake = undefined;
    return this.#calls();
  }

  #calls(): number {
    let calls = 0;
    for (const connection of this.#connections) calls += connection.calls;
    return calls;
  }

  #callsEnded(connection: GrpcConnection): void {
    if (this.#isDraining) connection.end("drained");
    this.#wake?.();
  }
}

/** One connection: its calls, and the timer that closes it while it has none. */
class GrpcConnection {
  readonly #entry: OpenConnection;
  readonly #session: ServerHttp2Session;
  #timer: NodeJS.Timeout;
  #isEnding = false;

  constructor(
    entry: OpenConnection,
    session: ServerHttp2Session,
    { idleTimeoutMs, prefaceTimeoutMs = PREFACE_TIMEOUT_MS }: GrpcConnectionTimes,
    onCallsEnded: () => void,
  ) {
    this.#entry = entry;
    this.#session = session;
    this.#timer = setTimeout(() => entry.cut("silent"), prefaceTimeoutMs);
    session.once("remoteSettings", () => {
      if (this.#isEnding) return;
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => {
        if (this.calls === 0) this.end("idle");
      }, idleTimeoutMs);
    });
    session.on("stream", (stream) => {
      entry.calls += 1;
      entry.busy();
      stream.once("close", () => {
        entry.calls -= 1;
        if (entry.calls > 0) return;
        entry.idle();
        this.#timer.refresh();
        onCallsEnded();
      });
    });
    entry.socket.once("close", () => clearTimeout(this.#timer));
  }

  /** Streams that are open, of any service. */
  get calls(): number {
    return this.#entry.calls;
  }

  /** Closes a connection without calls gracefully; the peer has a short time to react. */
  end(reason: CloseReason): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    this.#entry.closing(reason);
    this.#session.close();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#entry.socket.destroy(), CLOSE_GRACE_MS);
  }
}
