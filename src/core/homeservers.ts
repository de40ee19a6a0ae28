import { type HomeserverDeps, HomeserverState } from "./homeserver-state.js";
import { HomeserverTable } from "./homeserver-table.js";
import type { InvalidationLog } from "./invalidation-log.js";
import type { HomeserverStatsTable } from "./store.js";
import type { Homeserver } from "./types.js";

export interface HomeserversOptions {
  readonly homeserversMax: number;
  /** The log budget: every homeserver whose log holds changes has an equal share of it. */
  readonly logBytesMax: number;
  readonly deps: Omit<HomeserverDeps, "onLogStarts">;
}

/** The homeservers that are known, and how their logs share the budget. */
export class Homeservers {
  readonly #table: HomeserverTable<HomeserverState>;
  readonly #options: HomeserversOptions;

  constructor(options: HomeserversOptions) {
    this.#options = options;
    const onLogStarts = (log: InvalidationLog) => this.#shareLogs(log);
    this.#table = new HomeserverTable({
      homeserversMax: options.homeserversMax,
      create: (name, nowMs) => new HomeserverState(name, nowMs, { ...options.deps, onLogStarts }),
      onForget: (state) => {
        state.dropMetadata();
        options.deps.log.homeserverForgotten(state.name);
      },
    });
  }

  /** A homeserver's state, made now if it is new, with its leases judged: the first step of every call. */
  enter(name: Homeserver, nowMs: number): HomeserverState {
    const state = this.#table.enter(name, nowMs);
    state.settle(nowMs);
    return state;
  }

  all(): Iterable<HomeserverState> {
    return this.#table.all();
  }

  stats(): HomeserverStatsTable {
    const table = this.#table;
    return {
      size: table.size,
      get: (name) => table.find(name)?.stats(),
      *keys() {
        for (const { name } of table.all()) yield name;
      },
      *[Symbol.iterator]() {
        for (const state of table.all()) yield [state.name, state.stats()];
      },
    };
  }

  /** Forgets homeservers that are idle and hold nothing. */
  forgetEmpty(nowMs: number): void {
    this.#table.forgetIdle(nowMs, (state) => state.metadata.entries.size === 0);
  }

  /** A name that only reads takes nothing from the others. */
  #shareLogs(starting: InvalidationLog): void {
    const logs = [starting];
    for (const { log } of this.#table.all()) if (log.size.changes > 0) logs.push(log);
    for (const log of logs) log.setBytesMax(Math.floor(this.#options.logBytesMax / logs.length));
  }
}
