import { constants } from "node:crypto";
import type { Socket } from "node:net";
import { createServer, type Server, type TLSSocket } from "node:tls";

/** Certificates and key in PEM. */
export interface TlsIdentity {
  readonly cert: string;
  readonly key: string;
  /** The authorities of client certificates; undefined: none is asked for. */
  readonly clientCa: string | undefined;
}

/** Receives reports of handshakes that failed. The implementation limits the rate of log lines. */
export interface TlsLog {
  /** `problem` names the cause; `peer` is undefined if the connection is already gone. */
  handshakeFailed(problem: string, peer: string | undefined): void;
}

export interface TlsFrontOptions {
  readonly identity: TlsIdentity;
  /** The application protocol: `h2` or `http/1.1`. */
  readonly protocol: "h2" | "http/1.1";
  /** Whether a client without a certificate is refused. */
  readonly requiresCertificate: boolean;
  readonly log: TlsLog;
  readonly timeoutMs?: number;
  readonly handshakesMax?: number;
}

/** Calls back with the socket to talk over, once it is ready; never if it fails first. */
export type Secure = (socket: Socket, ready: (socket: Socket) => void) => void;

/** A connection that has not finished its handshake after this time is closed. */
const HANDSHAKE_TIMEOUT_MS = 5000;
/** Handshakes at once. A handshake takes milliseconds, so only clients that stall are closed for others. */
const HANDSHAKES_MAX = 256;

/** A handshake in progress. */
interface Handshake {
  readonly socket: Socket;
  readonly ready: (socket: Socket) => void;
  readonly timer: NodeJS.Timeout;
}

/**
 * Puts TLS in front of accepted sockets. Certificates can be replaced: connections that are
 * open keep theirs. Sessions are not resumed, so each handshake verifies the client's certificate
 * with the authorities of now.
 */
export class TlsFront {
  readonly #options: TlsFrontOptions;
  readonly #server: Server;
  /** By the four numbers of a TCP connection, the oldest first. */
  readonly #handshakes = new Map<string, Handshake>();

  constructor(options: TlsFrontOptions) {
    this.#options = options;
    this.#server = createServer({ ...contextOf(options.identity), ALPNProtocols: [options.protocol] });
    this.#server.on("secureConnection", (secured) => this.#secured(secured));
    this.#server.on("tlsClientError", (error: NodeJS.ErrnoException, secured) => {
      options.log.handshakeFailed(error.code ?? error.message, secured.remoteAddress);
      secured.destroy();
    });
  }

  /** Starts the handshake on an accepted TCP socket. */
  readonly secure: Secure = (socket, ready) => {
    const { handshakesMax = HANDSHAKES_MAX, timeoutMs = HANDSHAKE_TIMEOUT_MS } = this.#options;
    const key = keyOf(socket);
    const [oldest] = this.#handshakes.values();
    if (oldest !== undefined && this.#handshakes.size >= handshakesMax) {
      this.#fail(oldest.socket, "TOO_MANY_HANDSHAKES");
    }
    const timer = setTimeout(() => this.#fail(socket, "HANDSHAKE_TIMEOUT"), timeoutMs);
    this.#handshakes.set(key, { socket, ready, timer });
    socket.on("error", () => {});
    socket.once("close", () => this.#take(key));
    this.#server.emit("connection", socket);
  };

  /** Uses these certificates from the next handshake on. Throws if they are not usable. */
  renew(identity: TlsIdentity): void {
    this.#server.setSecureContext(contextOf(identity));
  }

  #take(key: string): Handshake | undefined {
    const handshake = this.#handshakes.get(key);
    this.#handshakes.delete(key);
    clearTimeout(handshake?.timer);
    return handshake;
  }

  #fail(socket: Socket, problem: string): void {
    this.#options.log.handshakeFailed(problem, socket.remoteAddress);
    // Not when the close event arrives: the place is free now.
    this.#take(keyOf(socket));
    socket.destroy();
  }

  #secured(secured: TLSSocket): void {
    const handshake = this.#take(keyOf(secured));
    secured.on("error", () => {});
    const problem = this.#problemOf(secured);
    if (problem === undefined && handshake !== undefined) {
      handshake.ready(secured);
      return;
    }
    this.#options.log.handshakeFailed(problem ?? "CONNECTION_LOST", secured.remoteAddress);
    secured.destroy();
  }

  /** What is wrong with the client's certificate, or undefined. */
  #problemOf(secured: TLSSocket): string | undefined {
    if (this.#options.identity.clientCa === undefined) return undefined;
    const hasCertificate = secured.getPeerX509Certificate() !== undefined;
    if (!hasCertificate) return this.#options.requiresCertificate ? "NO_CLIENT_CERTIFICATE" : undefined;
    return secured.authorized ? undefined : String(secured.authorizationError);
  }
}

function contextOf({ cert, key, clientCa }: TlsIdentity) {
  return {
    cert,
    key,
    minVersion: "TLSv1.2",
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
    requestCert: clientCa !== undefined,
    // A client may present none and send a token; what it presents is checked after the handshake.
    rejectUnauthorized: false,
    ...(clientCa === undefined ? {} : { ca: clientCa }),
  } as const;
}

function keyOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}
