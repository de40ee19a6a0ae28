import type { Epoch, Homeserver } from "./types.js";

/**
 * Why a copy of a homeserver's log starts anew. `started`: it is followed for the
 * first time; `asked`: a client asked for a new epoch; `expelled`: this sidecar was
 * taken for dead; `gap`: changes were trimmed before it read them; `database`: the
 * server that holds the log was started, promoted or restored.
 */
export type RestartReason = "started" | "asked" | "expelled" | "gap" | "database";

/** What a store reports to the operator, as it happens; never events, rooms or users. */
export interface StoreObserver {
  /** A homeserver's copy of the log starts anew: its cache is empty. Its subscribers are reset if the epoch is another. */
  logRestarted(homeserver: Homeserver, epoch: Epoch, reason: RestartReason): void;
  /** An idle homeserver was forgotten. */
  homeserverForgotten(homeserver: Homeserver): void;
}
