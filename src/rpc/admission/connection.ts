import { constants, type Http2Session } from "node:http2";
import type { Metadata } from "@grpc/grpc-js";
import type { Principal } from "../../auth/principal.js";
import { FLOOD_ALLOWANCES } from "../limits.js";

/** The client behaviours that close a connection if they occur too often. */
export type FloodKind = keyof typeof FLOOD_ALLOWANCES;

/** A connection was closed because of a flood. */
export interface Flood {
  readonly kind: FloodKind;
  /** The address of the other side; undefined on a Unix socket. */
  readonly peer: string | undefined;
}

export type FloodObserver = (flood: Flood) => void;

/**
 * A client's HTTP/2 connection. It is a party that shares the capacities. It is closed
 * if its client too often does things that are cheap for it and costly for the server.
 */
export class Connection {
  readonly #session: Http2Session;
  readonly #clock: () => number;
  readonly #onFlood: FloodObserver;
  /** The address of the other side; undefined on a Unix socket. */
  readonly peer: string | undefined;
  readonly #allowances = new Map<FloodKind, Allowance>();
  #isEnded = false;

  /** `clock` is a monotonic clock in milliseconds. */
  constructor(session: Http2Session, clock: () => number, onFlood: FloodObserver) {
    this.#session = session;
    this.peer = session.socket?.remoteAddress;
    this.#clock = clock;
    this.#onFlood = onFlood;
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** Counts one occurrence. Closes the connection if there are too many. */
  note(kind: FloodKind): void {
    // The calls of a closed connection are reset with it.
    if (this.#isEnded || this.#session.destroyed) return;
    const now = this.#clock();
    let allowance = this.#allowances.get(kind);
    if (allowance === undefined) {
      allowance = new Allowance(FLOOD_ALLOWANCES[kind], now);
      this.#allowances.set(kind, allowance);
    }
    if (allowance.take(now)) return;
    this.#isEnded = true;
    this.#session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    this.#session.destroy();
    this.#onFlood({ kind, peer: this.peer });
  }
}

/** Passes a call's connection to its handler in the call's metadata: grpc-js passes on nothing else. */
export function setConnection(metadata: Metadata, connection: Connection | undefined): void {
  metadata.setOpaque(CONNECTION_KEY, connection);
}

/** The connection of a call. Undefined if the interceptor did not know it. */
export function connectionOf(metadata: Metadata): Connection | undefined {
  // Only `setConnection` sets it.
  return metadata.getOpaque(CONNECTION_KEY) as Connection | undefined;
}

/** Hands on who makes a call, likewise. */
export function setPrincipal(metadata: Metadata, principal: Principal | undefined): void {
  metadata.setOpaque(PRINCIPAL_KEY, principal);
}

/** Who makes a call; undefined where calls need no credentials. */
export function principalOf(metadata: Metadata): Principal | undefined {
  return metadata.getOpaque(PRINCIPAL_KEY) as Principal | undefined;
}

const PRINCIPAL_KEY = "splitcache.principal";
const CONNECTION_KEY = "splitcache.connection";

/** A burst size and a rate per second. */
export interface AllowanceLimits {
  readonly burst: number;
  readonly perSecond: number;
}

class Allowance {
  readonly #limits: AllowanceLimits;
  #left: number;
  #at: number;

  constructor(limits: AllowanceLimits, nowMs: number) {
    this.#limits = limits;
    this.#left = limits.burst;
    this.#at = nowMs;
  }

  take(nowMs: number): boolean {
    const { burst, perSecond } = this.#limits;
    this.#left = Math.min(burst, this.#left + ((nowMs - this.#at) / 1000) * perSecond);
    this.#at = nowMs;
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }
}
