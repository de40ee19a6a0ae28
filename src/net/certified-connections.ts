import { constants, type ServerHttp2Session } from "node:http2";
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";

/** The longest time of a timer. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/**
 * The connections with a client certificate. The certificate is verified in the handshake alone, so each
 * connection ends when its certificate expires, and all of them when other authorities are trusted.
 */
export class CertifiedConnections {
  readonly #wallClock: () => number;
  readonly #sessions = new Set<ServerHttp2Session>();

  /** `wallClock`: milliseconds since 1970. */
  constructor(wallClock: () => number) {
    this.#wallClock = wallClock;
  }

  /** Follows a connection if it has a client certificate. */
  opened(session: ServerHttp2Session, socket: Socket): void {
    const certificate = socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined;
    if (certificate === undefined || session.destroyed) return;
    const expiresMs = Date.parse(certificate.validTo);
    let timer: NodeJS.Timeout | undefined;
    const wait = () => {
      const leftMs = expiresMs - this.#wallClock();
      if (leftMs <= 0) end(session);
      else timer = setTimeout(wait, Math.min(leftMs, TIMER_MS_MAX)).unref();
    };
    this.#sessions.add(session);
    session.once("close", () => {
      clearTimeout(timer);
      this.#sessions.delete(session);
    });
    wait();
  }

  /** Ends all connections with a client certificate. Their clients connect again, and are verified again. */
  endAll(): void {
    for (const session of [...this.#sessions]) end(session);
  }
}

function end(session: ServerHttp2Session): void {
  session.goaway(constants.NGHTTP2_NO_ERROR);
  session.destroy();
}
