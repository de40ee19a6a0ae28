import type { Epoch, Homeserver } from "./types.js";

/**
 * Why a copy of a homeserver's log is loaded again. `started`: the homeserver is
 * followed for the first time; `asked`: a client asked for a new epoch;
 * `expelled`: the other members removed this sidecar after its lease expired;
 * `gap`: changes were trimmed before this sidecar read them; `database`: the
 * PostgreSQL server that holds the log was started, promoted or restored.
 */
export type RestartReason = "started" | "asked" | "expelled" | "gap" | "database";

/** What a store reports to the operator, as it happens; never events, rooms or users. */
export interface StoreObserver {
  /** A homeserver's copy of the log is loaded again; its cache was emptied. Its subscribers get Reset if the epoch is new. */
  logRestarted(homeserver: Homeserver, epoch: Epoch, reason: RestartReason): void;
  /** An idle homeserver was forgotten. */
  homeserverForgotten(homeserver: Homeserver): void;
}
