import { CacheError } from "./errors.js";
import { type HomeserverDeps, HomeserverState } from "./homeserver-state.js";
import type { InvalidationLog } from "./invalidation-log.js";
import { HOMESERVER_IDLE_MS } from "./limits.js";
import type { Homeserver } from "./types.js";

export interface HomeserversOptions {
  readonly homeserversMax: number;
  /** The log budget: every homeserver whose log holds changes has an equal share of it. */
  readonly logBytesMax: number;
  readonly deps: Omit<HomeserverDeps, "onLogStarts">;
}

/** The homeservers that are known, bounded in number: one that is idle makes room for a new one. */
export class Homeservers {
  readonly #states = new Map<Homeserver, HomeserverState>();
  readonly #options: HomeserversOptions;

  constructor(options: HomeserversOptions) {
    this.#options = options;
  }

  /** A homeserver's state, made now if it is new, with its leases judged: the first step of every call. */
  enter(name: Homeserver, nowMs: number): HomeserverState {
    const state = this.#states.get(name) ?? this.#create(name, nowMs);
    state.lastCallMs = nowMs;
    state.settle(nowMs);
    return state;
  }

  all(): Iterable<HomeserverState> {
    return this.#states.values();
  }

  /** Forgets homeservers that are idle and hold nothing. */
  forgetEmpty(nowMs: number): void {
    for (const state of [...this.#states.values()]) {
      if (state.metadata.entries.size === 0 && isIdle(state, nowMs)) this.#forget(state);
    }
  }

  #create(name: Homeserver, nowMs: number): HomeserverState {
    if (this.#states.size >= this.#options.homeserversMax) this.#makeRoom(nowMs);
    const onLogStarts = (log: InvalidationLog) => this.#shareLogs(log);
    const state = new HomeserverState(name, nowMs, { ...this.#options.deps, onLogStarts });
    this.#states.set(name, state);
    return state;
  }

  #makeRoom(nowMs: number): void {
    let longestIdle: HomeserverState | undefined;
    for (const state of this.#states.values()) {
      if (!isIdle(state, nowMs)) continue;
      if (longestIdle === undefined || state.lastCallMs < longestIdle.lastCallMs) longestIdle = state;
    }
    if (longestIdle === undefined) {
      const message = `the cache serves ${this.#options.homeserversMax} homeservers already, none of them idle`;
      throw new CacheError("exhausted", message, { retryDelayMs: RETRY_DELAY_MS });
    }
    this.#forget(longestIdle);
  }

  #forget(state: HomeserverState): void {
    state.dropMetadata();
    this.#states.delete(state.name);
    this.#options.deps.log.homeserverForgotten(state.name);
  }

  /** A name that only reads takes nothing from the others. */
  #shareLogs(starting: InvalidationLog): void {
    const logs = [starting];
    for (const { log } of this.#states.values()) if (log.size.changes > 0) logs.push(log);
    for (const log of logs) log.setBytesMax(Math.floor(this.#options.logBytesMax / logs.length));
  }
}

/** Idleness is counted in minutes: asking again sooner is of no use. */
const RETRY_DELAY_MS = 60_000;

function isIdle(state: HomeserverState, nowMs: number): boolean {
  return state.hub.count === 0 && state.leases.count === 0 && nowMs - state.lastCallMs >= HOMESERVER_IDLE_MS;
}
