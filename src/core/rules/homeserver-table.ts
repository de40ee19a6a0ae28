import { CacheError } from "../model/errors.js";
import { HOMESERVER_IDLE_MS } from "../model/limits.js";
import type { Homeserver } from "../model/types.js";

/** The properties of a homeserver that a table depends on. */
export interface KnownHomeserver {
  readonly name: Homeserver;
  /** When it last had a call or a subscriber, in milliseconds of a monotonic clock. */
  lastCallMs: number;
  /** Whether it must be kept between calls, such as for a subscriber. */
  readonly isHeld: boolean;
}

/** The known homeservers, bounded in number: a new homeserver takes the place of an idle one. */
export class HomeserverTable<T extends KnownHomeserver> {
  readonly #known = new Map<Homeserver, T>();
  readonly #homeserversMax: number;
  readonly #create: (name: Homeserver, nowMs: number) => T;
  readonly #onForget: (homeserver: T) => void;

  constructor(options: {
    readonly homeserversMax: number;
    readonly create: (name: Homeserver, nowMs: number) => T;
    readonly onForget: (homeserver: T) => void;
  }) {
    this.#homeserversMax = options.homeserversMax;
    this.#create = options.create;
    this.#onForget = options.onForget;
  }

  /** Returns a homeserver and marks it as used now; creates it if it is new. */
  enter(name: Homeserver, nowMs: number): T {
    let known = this.#known.get(name);
    if (known === undefined) {
      if (this.#known.size >= this.#homeserversMax) this.#makeRoom(nowMs);
      known = this.#create(name, nowMs);
      this.#known.set(name, known);
    }
    known.lastCallMs = nowMs;
    return known;
  }

  get size(): number {
    return this.#known.size;
  }

  /** Returns a homeserver if it is known, without marking it as used. */
  find(name: Homeserver): T | undefined {
    return this.#known.get(name);
  }

  all(): IterableIterator<T> {
    return this.#known.values();
  }

  /** Forgets homeservers that are idle and for which `isEmpty` returns true. */
  forgetIdle(nowMs: number, isEmpty: (homeserver: T) => boolean): void {
    for (const known of [...this.#known.values()]) {
      if (isEmpty(known) && isIdle(known, nowMs)) this.#forget(known);
    }
  }

  #makeRoom(nowMs: number): void {
    let longestIdle: T | undefined;
    for (const known of this.#known.values()) {
      if (!isIdle(known, nowMs)) continue;
      if (longestIdle === undefined || known.lastCallMs < longestIdle.lastCallMs) longestIdle = known;
    }
    if (longestIdle === undefined) {
      const message = `the cache serves ${this.#homeserversMax} homeservers already, none of them idle`;
      throw new CacheError("exhausted", message, { retryDelayMs: RETRY_DELAY_MS });
    }
    this.#forget(longestIdle);
  }

  #forget(known: T): void {
    this.#known.delete(known.name);
    this.#onForget(known);
  }
}

/** Idle time is counted in minutes, so more frequent checks gain nothing. */
const RETRY_DELAY_MS = 60_000;

export function isIdle(known: KnownHomeserver, nowMs: number): boolean {
  return !known.isHeld && nowMs - known.lastCallMs >= HOMESERVER_IDLE_MS;
}
