import type { Http2Session } from "node:http2";
import type { Socket } from "node:net";
import { resolve } from "node:path";
import type { ListenAddress } from "../config/address.js";
import { CacheError } from "../core/model/errors.js";
import { certificateNamesOf } from "./certificate-names.js";
import type { Clients, Credentials } from "./clients.js";
import { callRefusal, isOpen, type Principal } from "./principal.js";

/** What a connection says of its client. */
type Origin = Omit<Credentials, "authorization">;

/** Receives reports about callers. The implementation limits the rate of log lines. */
export interface AccessLog {
  /** A call without valid credentials was refused. */
  refused(problem: string, peer: string | undefined): void;
  /** A call was refused because its client may not call this method, or not for this homeserver. */
  denied(client: string, method: string): void;
  /** A client calls a method whose calls operators want to find in the log. */
  called(client: string, method: string): void;
}

/** Decides about each call at its headers, before any of its request is read. */
export class CallAccess {
  readonly #clients: Clients;
  readonly #log: AccessLog;
  readonly #origins = new WeakMap<Http2Session, Origin>();

  constructor(clients: Clients, log: AccessLog) {
    this.#clients = clients;
    this.#log = log;
  }

  /** Notes where a connection comes from, before its first call. */
  opened(session: Http2Session, socket: Socket, listener: ListenAddress): void {
    this.#origins.set(session, {
      certificateNames: certificateNamesOf(socket),
      unixSocket: listener.kind === "unix" ? resolve(listener.path) : undefined,
    });
  }

  /** Who makes the call, or why it is refused; undefined for calls that need no credentials. */
  admit(
    session: Http2Session,
    path: string,
    authorization: readonly string[],
  ): Principal | CacheError | undefined {
    if (isOpen(path)) return undefined;
    const origin = this.#origins.get(session) ?? NOWHERE;
    const principal = this.#clients.authenticate({ ...origin, authorization });
    if (principal instanceof CacheError) {
      this.#log.refused(principal.message, session.socket?.remoteAddress);
      return principal;
    }
    const refusal = callRefusal(principal, path);
    if (refusal !== undefined) this.denied(principal, path);
    else if (LOGGED_METHODS.test(path)) this.#log.called(principal.rights?.name ?? "", methodOf(path));
    return refusal ?? principal;
  }

  /** Reports that a call was refused although its credentials are valid. */
  denied({ rights }: Principal, path: string): void {
    if (rights !== undefined) this.#log.denied(rights.name, methodOf(path));
  }

  /** Calls `listener` after each change of the clients, until the returned function is called. */
  onChange(listener: () => void): () => void {
    return this.#clients.onChange(listener);
  }
}

/** They change what the sidecar does for others. */
const LOGGED_METHODS = /\/(?:Drain|Undrain|SetLogLevel|PurgeRoom|PurgeHomeserver)$/;

function methodOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

const NOWHERE: Origin = { certificateNames: [], unixSocket: undefined };
