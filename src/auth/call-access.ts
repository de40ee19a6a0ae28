import type { Http2Session } from "node:http2";
import type { Socket } from "node:net";
import type { ListenAddress } from "../config/address.js";
import { CacheError } from "../core/model/errors.js";
import { certificateNamesOf } from "./certificate-names.js";
import type { Clients, Credentials } from "./clients.js";
import { isOpen, mayCall, type Principal } from "./principal.js";

/** What a connection says of its client. */
type Origin = Omit<Credentials, "authorization">;

/** Decides about each call at its headers, before any of its request is read. */
export class CallAccess {
  readonly #clients: Clients;
  readonly #onRefused: (error: CacheError, peer: string | undefined) => void;
  readonly #origins = new WeakMap<Http2Session, Origin>();

  /** `onRefused` is called for calls without valid credentials. */
  constructor(clients: Clients, onRefused: (error: CacheError, peer: string | undefined) => void) {
    this.#clients = clients;
    this.#onRefused = onRefused;
  }

  /** Notes where a connection comes from, before its first call. */
  opened(session: Http2Session, socket: Socket, listener: ListenAddress): void {
    this.#origins.set(session, {
      certificateNames: certificateNamesOf(socket),
      unixSocket: listener.kind === "unix" ? listener.path : undefined,
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
      this.#onRefused(principal, session.socket?.remoteAddress);
      return principal;
    }
    const role = principal.rights?.role;
    if (role !== undefined && mayCall(role, path)) return principal;
    return new CacheError("permissionDenied", `a client of role ${role} may not make this call`);
  }

  /** Calls `listener` after each change of the clients, until the returned function is called. */
  onChange(listener: () => void): () => void {
    return this.#clients.onChange(listener);
  }
}

const NOWHERE: Origin = { certificateNames: [], unixSocket: undefined };
