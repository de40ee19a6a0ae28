import type { HomeserverStatsTable } from "../model/store.js";
import type { Homeserver } from "../model/types.js";
import type { HomeserverState } from "./homeserver-state.js";
import { HomeserverTable, type KnownHomeserver } from "./homeserver-table.js";
import type { InvalidationLog } from "./invalidation-log.js";

/** A homeserver in the table: its state, and what the table's owner attaches to it. */
export interface WithState extends KnownHomeserver {
  readonly state: HomeserverState;
}

export interface HomeserversOptions<T extends WithState> {
  readonly homeserversMax: number;
  /** The log budget. Each homeserver whose log holds changes has an equal share of it. */
  readonly logBytesMax: number;
  readonly create: (name: Homeserver, nowMs: number, onLogStarts: (log: InvalidationLog) => void) => T;
  readonly onForget: (homeserver: T) => void;
}

/** The known homeservers, and the division of the log budget among them. */
export class Homeservers<T extends WithState> {
  readonly #table: HomeserverTable<T>;
  readonly #logBytesMax: number;

  constructor({ homeserversMax, logBytesMax, create, onForget }: HomeserversOptions<T>) {
    this.#logBytesMax = logBytesMax;
    const onLogStarts = (log: InvalidationLog) => this.#shareLogs(log);
    this.#table = new HomeserverTable({
      homeserversMax,
      create: (name, nowMs) => create(name, nowMs, onLogStarts),
      onForget,
    });
  }

  /** Returns a homeserver; creates it if it is new. */
  enter(name: Homeserver, nowMs: number): T {
    return this.#table.enter(name, nowMs);
  }

  /** Returns a homeserver if it is known, without marking it as used. */
  find(name: Homeserver): T | undefined {
    return this.#table.find(name);
  }

  all(): Iterable<T> {
    return this.#table.all();
  }

  stats(): HomeserverStatsTable {
    const table = this.#table;
    return {
      size: table.size,
      get: (name) => table.find(name)?.state.stats(),
      *keys() {
        for (const { name } of table.all()) yield name;
      },
      *[Symbol.iterator]() {
        for (const { name, state } of table.all()) yield [name, state.stats()];
      },
    };
  }

  /** Forgets homeservers that are idle and hold nothing. */
  forgetEmpty(nowMs: number): void {
    this.#table.forgetIdle(nowMs, ({ state }) => state.metadata.entries.size === 0);
  }

  /** A homeserver that only reads takes no share of the budget from the others. */
  #shareLogs(starting: InvalidationLog): void {
    const logs = [starting];
    for (const { state } of this.#table.all()) if (state.log.size.changes > 0) logs.push(state.log);
    for (const log of logs) log.setBytesMax(Math.floor(this.#logBytesMax / logs.length));
  }
}
